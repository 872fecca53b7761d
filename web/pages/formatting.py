"""Formats figures, times and telephone numbers; times in the time zone of the business, never the browser's."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import phonenumbers
from babel.dates import format_date, format_datetime, format_time, get_day_names
from babel.numbers import format_currency, format_decimal
from markupsafe import Markup

from dialer.policy.calling_hours import WEEKDAYS
from dialer.policy.time_zones import time_zone
from web.pages.labels import COUNTS
from web.server.i18n import msgids, plural

if TYPE_CHECKING:
    from datetime import datetime, tzinfo
    from decimal import Decimal

    from sql.runs.runs import Run
    from web.server.i18n import Language

BAR_WIDTH: Final = 1000
# Days of the week as the API names them, Sunday first.
WEEKDAY_NAMES: Final = (WEEKDAYS[-1], *WEEKDAYS[:-1])
# Where a calendar begins with Sunday (Unicode CLDR, weekData).
SUNDAY_FIRST: Final = frozenset({"IL", "US", "CA", "MX", "BR", "JP", "IN", "ZA", "SA", "PH", "KR", "TH", "HK", "TW", "CO", "PE", "VE"})
NOTHING: Final = "\N{EN DASH}"
# The seconds of a unit, and a number of them in words.
SPANS: Final = (
    (86_400, msgids("{n} day", "{n} days")),
    (3_600, msgids("{n} hour", "{n} hours")),
    (60, msgids("{n} minute", "{n} minutes")),
)
# So many of a unit, or it is said in the smaller one.
LEAST_UNITS: Final = 1.5


class Part(NamedTuple):
    """A section of a bar, in thousandths of its width."""

    key: str
    start: int
    width: int


def share_called(run: Run) -> str:
    """The share of leads whose calls are over, in per cent; 100% only when all are, 0% only when none is."""
    called = run.completed + run.failed
    if not called or not run.total_leads:
        return "0%"
    return f"{max(called * 100 // run.total_leads, 1)}%"


def parts(run: Run) -> list[Part]:
    """The sections of a run's bar in order; rounding leaves no gap, and together they fill the bar."""
    counts = [getattr(run, key) for key in COUNTS]
    total = sum(counts) or 1
    ends = [sum(counts[: n + 1]) * BAR_WIDTH // total for n in range(len(counts))]
    starts = [0, *ends[:-1]]
    return [Part(key, start, end - start) for key, start, end in zip(COUNTS, starts, ends, strict=True) if end > start]


def figure(language: Language, number: int) -> str:
    """1234 as 1,234."""
    return str(format_decimal(number, locale=language))


def money(language: Language, amount: Decimal, currency: str) -> str:
    """An amount with its currency (ISO 4217); with all its decimals, since a call costs less than a cent."""
    return str(format_currency(amount.normalize(), currency, locale=language, decimal_quantization=False))


def moment(language: Language, zone: str, at: datetime | None) -> Markup | str:
    """A date and time as a `<time>` element; a dash for none."""
    if at is None:
        return NOTHING
    local = at.astimezone(_zone(zone))
    return _time(at, f"{format_date(local, 'medium', locale=language)}, {format_time(local, 'HH:mm', locale=language)}", zone)


def clock(language: Language, zone: str, at: datetime | None) -> Markup | str:
    """The time of day with seconds; the date is in the title."""
    return NOTHING if at is None else _time_of_day(language, zone, at, "HH:mm:ss")


def hour(language: Language, zone: str, at: datetime, now: datetime) -> Markup:
    """The time of day, with the weekday unless it is today; the date is in the title."""
    local, today = at.astimezone(_zone(zone)), now.astimezone(_zone(zone)).date()
    pattern = "HH:mm" if local.date() == today else "EEEE HH:mm"
    return _time(at, str(format_datetime(local, pattern, locale=language)), f"{format_date(local, 'long', locale=language)}, {zone}")


def day_and_hour(language: Language, zone: str, at: datetime | None, now: datetime) -> Markup | str:
    """The time of day, with the date unless it is today; a dash for none."""
    if at is None:
        return NOTHING
    local, today = at.astimezone(_zone(zone)), now.astimezone(_zone(zone)).date()
    clock_time = format_time(local, "HH:mm", locale=language)
    text = clock_time if local.date() == today else f"{format_date(local, 'short', locale=language)} {clock_time}"
    return _time(at, text, f"{format_date(local, 'long', locale=language)}, {zone}")


def length_of_call(seconds: int) -> str:
    """Seconds as minutes and seconds."""
    return elapsed(timedelta(seconds=seconds))


def span(language: Language, seconds: float) -> str:
    """A duration in words, such as 9 minutes or 16 hours; at least a minute."""
    unit, forms = next(((unit, forms) for unit, forms in SPANS if seconds >= unit * LEAST_UNITS), SPANS[-1])
    number = max(round(seconds / unit), 1)
    return plural(language, *forms, number).format(n=number)


def week_order(region: str) -> list[int]:
    """The days of the week in the order of a calendar in a region, ISO 3166; 0 is Sunday."""
    return list(range(7)) if region in SUNDAY_FIRST else [*range(1, 7), 0]


def weekday(language: Language, number: int, *, short: bool) -> str:
    """The name of a day of the week; 0 is Sunday."""
    # Babel counts from Monday.
    return str(get_day_names("abbreviated" if short else "wide", locale=language)[(number - 1) % 7])


def exact(language: Language, zone: str, at: datetime) -> Markup:
    """The time of day to the hundredth of a second, for the timeline of a call."""
    return _time_of_day(language, zone, at, "HH:mm:ss.SS")


def elapsed(span: timedelta) -> str:
    """A duration as minutes and seconds, or hours, minutes and seconds."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, hours = seconds // 60, seconds // 3600
    return f"{hours}:{minutes % 60:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def phone(text: str | None, region: str = "") -> str:
    """An E.164 number as people write it: with the country code, or without it in its own region; any other text unchanged."""
    try:
        number = phonenumbers.parse(text or "")
    except phonenumbers.NumberParseException:
        return text or NOTHING
    is_own = phonenumbers.region_code_for_number(number) == region
    forms = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, forms.NATIONAL if is_own else forms.INTERNATIONAL)


def _time_of_day(language: Language, zone: str, at: datetime, pattern: str) -> Markup:
    local = at.astimezone(_zone(zone))
    return _time(at, str(format_time(local, pattern, locale=language)), f"{format_date(local, 'long', locale=language)}, {zone}")


def _time(at: datetime, text: str, title: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), title, text)


def _zone(name: str) -> tzinfo:
    # A zone that was removed from the database of zones must not break the page.
    return time_zone(name) or UTC
