"""Formats figures, times and telephone numbers; times in the time zone of the business, never the browser's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from babel.dates import format_date, format_time
from babel.numbers import format_decimal
from markupsafe import Markup

from web.pages.labels import COUNTS

if TYPE_CHECKING:
    from datetime import datetime, timedelta, tzinfo

    from sql.runs.runs import Run
    from web.server.i18n import Language

BAR_WIDTH: Final = 1000
NOTHING: Final = "\N{EN DASH}"


class Part(NamedTuple):
    """A section of a bar, in thousandths of its width."""

    key: str
    start: int
    width: int


def done(run: Run) -> int:
    """How many leads of a run are finished."""
    return run.completed + run.failed + run.cancelled + run.skipped


def percent(run: Run) -> str:
    """The share of leads that are finished; 100 % only when all are, 0 % only when none is."""
    if not run.total_leads or done(run) >= run.total_leads:
        return "100%" if run.total_leads else "0%"
    share = done(run) * 100 // run.total_leads
    return f"{share or int(done(run) > 0)}%"


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


def moment(language: Language, zone: str, at: datetime | None) -> Markup | str:
    """A date and time as a `<time>` element; a dash for none."""
    if at is None:
        return NOTHING
    local = at.astimezone(_zone(zone))
    return _time(at, f"{format_date(local, 'medium', locale=language)}, {format_time(local, 'HH:mm', locale=language)}", zone)


def clock(language: Language, zone: str, at: datetime | None) -> Markup | str:
    """The time of day with seconds; the date is in the title."""
    return NOTHING if at is None else _time_of_day(language, zone, at, "HH:mm:ss")


def exact(language: Language, zone: str, at: datetime) -> Markup:
    """The time of day to the hundredth of a second, for the timeline of a call."""
    return _time_of_day(language, zone, at, "HH:mm:ss.SS")


def elapsed(span: timedelta) -> str:
    """A duration as minutes and seconds, or hours, minutes and seconds."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, hours = seconds // 60, seconds // 3600
    return f"{hours}:{minutes % 60:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def phone(text: str | None) -> str:
    """An E.164 number in groups, with its country code; any other text unchanged."""
    try:
        number = phonenumbers.parse(text or "")
    except phonenumbers.NumberParseException:
        return text or NOTHING
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _time_of_day(language: Language, zone: str, at: datetime, pattern: str) -> Markup:
    local = at.astimezone(_zone(zone))
    return _time(at, str(format_time(local, pattern, locale=language)), f"{format_date(local, 'long', locale=language)}, {zone}")


def _time(at: datetime, text: str, title: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), title, text)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        # A zone that was removed from the database of zones must not break the page.
        return ZoneInfo("UTC")
