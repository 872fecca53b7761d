"""When leads may be called, at every edge: closing times, holidays, nights on which clocks change, zones that changed their rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialer.policy.calling_hours import WEEKDAYS, CallingHours, default_hours
from dialer.policy.public_holidays import public_holidays
from dialer.policy.time_zones import time_zone
from dialer.policy.windows import ALWAYS_FROM, ALWAYS_TO, HORIZON, Window, next_window

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
JERUSALEM = "IL:Asia/Jerusalem"
NEW_YORK = "US:America/New_York"
TWO_ZONES = "US:America/Chicago,America/New_York"
LORD_HOWE = "AU:Australia/Lord_Howe"
KOLKATA = "IN:Asia/Kolkata"
ALMATY = "KZ:Asia/Almaty"
NUUK = "GL:America/Nuuk"
VANCOUVER = "CA:America/Vancouver"
CASABLANCA = "MA:Africa/Casablanca"
APIA = "WS:Pacific/Apia"
HAVANA = "CU:America/Havana"
ISRAEL, ELSEWHERE = default_hours("IL"), default_hours("US")


def hours(**days: object) -> CallingHours:
    return CallingHours.model_validate({"holidays": "open"} | days)


def week(*intervals: list[str]) -> dict[str, Any]:
    """The same hours on all weekdays."""
    return {name: list(intervals) for name in WEEKDAYS}


def every_day(*intervals: list[str], **more: object) -> CallingHours:
    return hours(**week(*intervals), **more)


def at(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    """A moment by the clock of a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=time_zone(zone), fold=fold).astimezone(UTC)


def opened(rules: CallingHours | None, key: str, moment: datetime, *, by_day: bool = False) -> tuple[str, str] | None:
    """The next window, by the clock of the key's first zone."""
    window = next_window(rules, key, moment, by_day=by_day)
    zone = time_zone(key.partition(":")[2].split(",")[0])
    return window and (f"{window.opens_at.astimezone(zone):%Y-%m-%d %H:%M%z}", f"{window.closes_at.astimezone(zone):%Y-%m-%d %H:%M%z}")


SKIPPED_HOUR = hours(friday=[["01:30", "02:00"], ["03:00", "03:30"]])
TOUCHING = every_day(["09:00", "10:00"], ["10:00", "11:00"])
OVER_MIDNIGHT = hours(monday=[["20:00", "24:00"]], tuesday=[["00:00", "02:00"]])
ONE_MONDAY = hours(monday=[["09:00", "13:00"], ["13:00", "17:00"]])
CHRISTMAS = hours(holidays="closed", dates={"2026-12-25": [["10:00", "11:00"]]})
CLOSED_DATES = every_day(["08:00", "21:00"], dates={"2026-12-24": [], "2026-12-25": []})
LEAP_DAY = hours(dates={"2028-02-29": [["09:00", "10:00"]]})
LONG_EVES = hours(sunday=[["08:00", "09:00"]], holidays="closed", holiday_eves=[["06:00", "23:00"]])
NO_SUNDAYS = hours(monday=[["08:00", "09:00"]], holidays="closed", holiday_eves=[["06:00", "23:00"]])

# The rules, the key, the moment by the clock of its first zone, and the window by the same clock.
WINDOWS: list[tuple[CallingHours, str, str, tuple[str, str] | None]] = [
    # Half-open: the last second is in, the next one waits for the morning.
    (ELSEWHERE, NEW_YORK, "2026-11-24T07:59:59", ("2026-11-24 08:00-0500", "2026-11-24 21:00-0500")),
    (ELSEWHERE, NEW_YORK, "2026-11-24T08:00:00", ("2026-11-24 08:00-0500", "2026-11-24 21:00-0500")),
    (ELSEWHERE, NEW_YORK, "2026-11-24T20:59:59", ("2026-11-24 08:00-0500", "2026-11-24 21:00-0500")),
    (ELSEWHERE, NEW_YORK, "2026-11-24T21:00:00", ("2026-11-25 08:00-0500", "2026-11-25 21:00-0500")),
    (ELSEWHERE, KOLKATA, "2026-11-24T20:59:59", ("2026-11-24 08:00+0530", "2026-11-24 21:00+0530")),
    (ELSEWHERE, KOLKATA, "2026-11-24T21:00:00", ("2026-11-25 08:00+0530", "2026-11-25 21:00+0530")),
    # Thanksgiving is an ordinary day by the default of the United States; in rules that close holidays it is not.
    (ELSEWHERE, NEW_YORK, "2026-11-26T12:00:00", ("2026-11-26 08:00-0500", "2026-11-26 21:00-0500")),
    (every_day(["08:00", "21:00"], holidays="closed"), NEW_YORK, "2026-11-26T12:00:00", ("2026-11-27 08:00-0500", "2026-11-27 21:00-0500")),
    # Israel: Friday to 15:00, then nothing until Sunday.
    (ISRAEL, JERUSALEM, "2026-11-27T14:59:59", ("2026-11-27 08:00+0200", "2026-11-27 15:00+0200")),
    (ISRAEL, JERUSALEM, "2026-11-27T15:00:00", ("2026-11-29 08:00+0200", "2026-11-29 21:00+0200")),
    (ISRAEL, JERUSALEM, "2026-11-28T12:00:00", ("2026-11-29 08:00+0200", "2026-11-29 21:00+0200")),
    # Yom Kippur is Monday, 21 September 2026: its eve is a Sunday with the hours of an eve.
    (ISRAEL, JERUSALEM, "2026-09-20T14:59:59", ("2026-09-20 08:00+0300", "2026-09-20 15:00+0300")),
    (ISRAEL, JERUSALEM, "2026-09-20T15:00:00", ("2026-09-22 08:00+0300", "2026-09-22 21:00+0300")),
    (ISRAEL, JERUSALEM, "2026-09-21T23:59:59", ("2026-09-22 08:00+0300", "2026-09-22 21:00+0300")),
    # Rosh Hashana is Saturday and Sunday; the first day is the eve of the second, and stays a holiday.
    (ISRAEL, JERUSALEM, "2026-09-11T15:00:00", ("2026-09-14 08:00+0300", "2026-09-14 21:00+0300")),
    # Pesach 2025 begins on a Sunday: the eve is a Saturday, and a Saturday stays closed.
    (ISRAEL, JERUSALEM, "2025-04-11T15:00:00", ("2025-04-14 08:00+0300", "2025-04-14 21:00+0300")),
    # The holidays are those of the number's country: an American number in Israel is called on Yom Kippur, unless it is a Saturday.
    (ISRAEL, "US:Asia/Jerusalem", "2026-09-21T12:00:00", ("2026-09-21 08:00+0300", "2026-09-21 21:00+0300")),
    # In Israel the clocks skip 02:00 to 03:00 on Friday, 27 March 2026.
    (hours(friday=[["01:30", "02:30"]]), JERUSALEM, "2026-03-27T00:00:00", ("2026-03-27 01:30+0200", "2026-03-27 03:00+0300")),
    (hours(friday=[["02:15", "02:45"]]), JERUSALEM, "2026-03-27T00:00:00", ("2026-04-03 02:15+0300", "2026-04-03 02:45+0300")),
    (hours(friday=[["02:30", "04:00"]]), JERUSALEM, "2026-03-27T00:00:00", ("2026-03-27 03:00+0300", "2026-03-27 04:00+0300")),
    (SKIPPED_HOUR, JERUSALEM, "2026-03-27T00:00:00", ("2026-03-27 01:30+0200", "2026-03-27 03:30+0300")),
    # And they show 01:00 to 02:00 twice on Sunday, 25 October 2026.
    (hours(sunday=[["01:15", "01:45"]]), JERUSALEM, "2026-10-25T00:00:00", ("2026-10-25 01:15+0300", "2026-10-25 01:45+0300")),
    (hours(sunday=[["00:30", "02:30"]]), JERUSALEM, "2026-10-25T00:00:00", ("2026-10-25 00:30+0300", "2026-10-25 02:30+0200")),
    (hours(sunday=[["00:30", "01:30"]]), JERUSALEM, "2026-10-25T00:00:00", ("2026-10-25 00:30+0300", "2026-10-25 01:30+0300")),
    (hours(sunday=[["00:30", "01:30"]]), JERUSALEM, "2026-10-25T01:30:00", ("2026-10-25 01:00+0200", "2026-10-25 01:30+0200")),
    (ELSEWHERE, NEW_YORK, "2026-03-07T21:00:00", ("2026-03-08 08:00-0400", "2026-03-08 21:00-0400")),
    (hours(sunday=[["02:00", "03:00"]]), NEW_YORK, "2026-03-08T00:00:00", ("2026-03-15 02:00-0400", "2026-03-15 03:00-0400")),
    (ELSEWHERE, NEW_YORK, "2026-10-31T21:00:00", ("2026-11-01 08:00-0500", "2026-11-01 21:00-0500")),
    (hours(sunday=[["01:59", "02:00"]]), NEW_YORK, "2026-11-01T00:00:00", ("2026-11-01 01:59-0400", "2026-11-01 01:00-0500")),
    # Lord Howe Island changes its clocks by half an hour.
    (hours(sunday=[["01:30", "01:45"]]), LORD_HOWE, "2026-04-05T00:00:00", ("2026-04-05 01:30+1100", "2026-04-05 01:45+1100")),
    (hours(sunday=[["01:15", "02:15"]]), LORD_HOWE, "2026-04-05T00:00:00", ("2026-04-05 01:15+1100", "2026-04-05 02:15+1030")),
    (hours(sunday=[["02:00", "02:30"]]), LORD_HOWE, "2026-10-04T00:00:00", ("2026-10-11 02:00+1100", "2026-10-11 02:30+1100")),
    (hours(sunday=[["02:15", "02:45"]]), LORD_HOWE, "2026-10-04T00:00:00", ("2026-10-04 02:30+1100", "2026-10-04 02:45+1100")),
    # Zones that changed their rules: Kazakhstan on 1 March 2024, for good; Greenland's first summer time by UTC-2 in the same year.
    (ELSEWHERE, ALMATY, "2024-02-29T12:00:00", ("2024-02-29 08:00+0600", "2024-02-29 21:00+0600")),
    (ELSEWHERE, ALMATY, "2024-02-29T21:00:00", ("2024-03-01 08:00+0500", "2024-03-01 21:00+0500")),
    (every_day(["22:30", "23:30"]), ALMATY, "2024-02-29T22:45:00", ("2024-02-29 22:30+0600", "2024-02-29 23:30+0600")),
    (every_day(["22:30", "23:30"]), ALMATY, "2024-02-29T23:30:00", ("2024-02-29 23:00+0500", "2024-02-29 23:30+0500")),
    (ELSEWHERE, NUUK, "2024-03-30T21:00:00", ("2024-03-31 08:00-0100", "2024-03-31 21:00-0100")),
    (every_day(["22:00", "24:00"]), NUUK, "2024-03-30T22:00:00", ("2024-03-30 22:00-0200", "2024-03-31 00:00-0100")),
    # In 2026: British Columbia keeps its summer time, so no clock is put back on 1 November; Morocco is at UTC from 20 September on.
    (ELSEWHERE, VANCOUVER, "2026-10-31T21:00:00", ("2026-11-01 08:00-0700", "2026-11-01 21:00-0700")),
    (hours(sunday=[["01:15", "01:45"]]), VANCOUVER, "2026-11-01T01:45:00", ("2026-11-08 01:15-0700", "2026-11-08 01:45-0700")),
    (ELSEWHERE, VANCOUVER, "2027-03-13T21:00:00", ("2027-03-14 08:00-0700", "2027-03-14 21:00-0700")),
    (ELSEWHERE, CASABLANCA, "2026-09-19T21:00:00", ("2026-09-20 08:00+0000", "2026-09-20 21:00+0000")),
    (every_day(["01:15", "01:45"]), CASABLANCA, "2026-09-20T01:45:00", ("2026-09-20 01:15+0000", "2026-09-20 01:45+0000")),
    (ELSEWHERE, CASABLANCA, "2027-03-13T21:00:00", ("2027-03-14 08:00+0000", "2027-03-14 21:00+0000")),
    # Samoa had no 30 December 2011.
    (hours(friday=[["08:00", "21:00"]]), APIA, "2011-12-29T12:00:00", ("2012-01-06 08:00+1400", "2012-01-06 21:00+1400")),
    # Open where all zones are: from 8 in Chicago to 21 in New York.
    (ELSEWHERE, TWO_ZONES, "2026-11-24T07:59:59", ("2026-11-24 08:00-0600", "2026-11-24 20:00-0600")),
    (ELSEWHERE, TWO_ZONES, "2026-11-24T20:00:00", ("2026-11-25 08:00-0600", "2026-11-25 20:00-0600")),
    (hours(monday=[["09:00", "10:00"]]), TWO_ZONES, "2026-11-24T08:00:00", None),
    (TOUCHING, TWO_ZONES, "2026-11-24T08:00:00", ("2026-11-24 09:00-0600", "2026-11-24 10:00-0600")),
    # 24:00 beside 00:00 is one window, over the new year too.
    (OVER_MIDNIGHT, KOLKATA, "2026-11-24T01:00:00", ("2026-11-23 20:00+0530", "2026-11-24 02:00+0530")),
    (
        hours(dates={"2026-12-31": [["22:00", "24:00"]], "2027-01-01": [["00:00", "01:00"]]}),
        NEW_YORK,
        "2026-11-24T00:00:00",
        ("2026-12-31 22:00-0500", "2027-01-01 01:00-0500"),
    ),
    (ONE_MONDAY, KOLKATA, "2026-11-23T10:00:00", ("2026-11-23 09:00+0530", "2026-11-23 17:00+0530")),
    # A date beats everything, a holiday too; so does a date without hours.
    (CHRISTMAS, NEW_YORK, "2026-11-24T00:00:00", ("2026-12-25 10:00-0500", "2026-12-25 11:00-0500")),
    (CLOSED_DATES, NEW_YORK, "2026-12-23T21:00:00", ("2026-12-26 08:00-0500", "2026-12-26 21:00-0500")),
    # A leap day, by its date and by its weekday; one that is years away.
    (LEAP_DAY, JERUSALEM, "2026-11-24T00:00:00", ("2028-02-29 09:00+0200", "2028-02-29 10:00+0200")),
    (hours(tuesday=[["09:00", "10:00"]]), JERUSALEM, "2028-02-28T00:00:00", ("2028-02-29 09:00+0200", "2028-02-29 10:00+0200")),
    (hours(dates={"2020-02-29": [["09:00", "10:00"]]}), JERUSALEM, "2026-11-24T00:00:00", None),
    # An eve may be as long as one likes, but it opens no closed weekday.
    (LONG_EVES, JERUSALEM, "2026-09-20T08:30:00", ("2026-09-20 06:00+0300", "2026-09-20 23:00+0300")),
    (NO_SUNDAYS, JERUSALEM, "2026-09-20T08:30:00", ("2026-09-28 08:00+0300", "2026-09-28 09:00+0300")),
    (hours(), JERUSALEM, "2026-11-24T00:00:00", None),
    # No zone, an unknown one, and one unknown among others: never.
    (ELSEWHERE, "DE:", "2026-11-24T12:00:00", None),
    (ELSEWHERE, "DE:Europe/Atlantis", "2026-11-24T12:00:00", None),
    (ELSEWHERE, "DE:../../etc/passwd", "2026-11-24T12:00:00", None),
    (ELSEWHERE, "US:America/New_York,America/Nowhere", "2026-11-24T12:00:00", None),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "key", "moment", "window"), WINDOWS)
def test_window(rules: CallingHours, key: str, moment: str, window: tuple[str, str] | None) -> None:
    first = key.partition(":")[2].split(",")[0]
    assert opened(rules, key, at(moment, first if time_zone(first) else "UTC")) == window


def test_both_passes_of_an_hour_that_is_shown_twice_are_open_and_apart() -> None:
    rules = hours(sunday=[["01:15", "01:45"]])
    first = next_window(rules, JERUSALEM, at("2026-10-25T00:00", "Asia/Jerusalem"), by_day=False)
    assert first is not None
    second = next_window(rules, JERUSALEM, first.closes_at, by_day=False)
    assert second is not None
    assert (second.opens_at, second.closes_at) == (first.opens_at + 60 * MINUTE, first.closes_at + 60 * MINUTE)
    assert second.opens_at == at("2026-10-25T01:15", "Asia/Jerusalem", fold=1)


def test_without_hours_it_is_always_open() -> None:
    moment = at("2026-11-24T12:00")
    for key in (JERUSALEM, "DE:", "DE:Europe/Atlantis"):
        window = next_window(None, key, moment, by_day=False)
        assert window is not None
        assert (window.opens_at, window.closes_at) == (ALWAYS_FROM, ALWAYS_TO)


@pytest.mark.parametrize(
    ("key", "moment", "day"),
    [
        ("DE:", "2026-11-24T23:59:59", ("2026-11-24T00:00", "2026-11-25T00:00")),
        (JERUSALEM, "2026-11-24T23:59:59", ("2026-11-24T22:00", "2026-11-25T22:00")),
        (TWO_ZONES, "2026-11-24T05:59:59", ("2026-11-23T06:00", "2026-11-24T06:00")),
        # 23 hours, 25 hours, and a midnight that the clocks skip.
        (JERUSALEM, "2026-03-27T12:00", ("2026-03-26T22:00", "2026-03-27T21:00")),
        (JERUSALEM, "2026-10-25T12:00", ("2026-10-24T21:00", "2026-10-25T22:00")),
        (HAVANA, "2026-03-08T12:00", ("2026-03-08T05:00", "2026-03-09T04:00")),
    ],
)
def test_with_a_daily_cap_the_window_is_the_leads_own_day(key: str, moment: str, day: tuple[str, str]) -> None:
    day_from, day_to = map(at, day)
    assert next_window(None, key, at(moment), by_day=True) == Window(day_from, day_to, day_from, day_to)


def test_with_a_daily_cap_a_window_over_midnight_is_two() -> None:
    night = every_day(["00:00", "02:00"], ["20:00", "24:00"])
    evening = next_window(night, KOLKATA, at("2026-11-24T12:00", "Asia/Kolkata"), by_day=True)
    assert evening == Window(*(at(f"2026-11-{text}", "Asia/Kolkata") for text in ("24T20:00", "25T00:00", "24T00:00", "25T00:00")))
    morning = next_window(night, KOLKATA, at("2026-11-25T00:00", "Asia/Kolkata"), by_day=True)
    assert morning == Window(*(at(f"2026-11-{text}", "Asia/Kolkata") for text in ("25T00:00", "25T02:00", "25T00:00", "26T00:00")))


def test_open_without_an_end_is_given_up_to_the_horizon() -> None:
    moment = at("2026-11-24T12:00")
    window = next_window(every_day(["00:00", "24:00"]), KOLKATA, moment, by_day=False)
    assert window is not None
    assert window.opens_at < moment - timedelta(days=7)
    assert window.closes_at == moment + HORIZON


def test_an_aware_moment_of_any_zone_is_understood() -> None:
    moment = datetime(2026, 11, 24, 20, 59, 59, tzinfo=time_zone("America/New_York"))
    assert next_window(ELSEWHERE, NEW_YORK, moment, by_day=True) == next_window(ELSEWHERE, NEW_YORK, moment.astimezone(UTC), by_day=True)


# The oracle: reads the JSON of the rules by itself, and looks at the clock minute by minute.

SEARCHED = timedelta(hours=30)
MOMENTS = [
    (JERUSALEM, at("2026-03-27T00:00")),
    (JERUSALEM, at("2026-10-25T00:00")),
    (JERUSALEM, at("2026-09-20T20:00")),
    (NEW_YORK, at("2026-03-08T07:00")),
    (NEW_YORK, at("2026-11-01T06:00")),
    (TWO_ZONES, at("2026-11-01T06:00")),
    (LORD_HOWE, at("2026-04-04T15:00")),
    (LORD_HOWE, at("2026-10-03T15:30")),
    (KOLKATA, at("2026-12-31T18:30")),
    (ALMATY, at("2024-02-29T18:00")),
    (NUUK, at("2024-03-31T01:00")),
    (NUUK, at("2026-10-25T01:00")),
    (VANCOUVER, at("2026-11-01T08:00")),
    (CASABLANCA, at("2026-09-20T00:00")),
    (APIA, at("2011-12-30T10:00")),
    (HAVANA, at("2026-03-08T05:00")),
    ("AU:Australia/Adelaide,Australia/Lord_Howe,Australia/Perth", at("2026-10-03T16:00")),
]


def minutes_of(rules: dict[str, Any], country: str, day: date) -> set[int]:
    """The minutes of a calendar day at which the rules are open."""
    following = day + timedelta(days=1)
    usual = rules.get(WEEKDAYS[day.weekday()], [])
    found = usual
    if day.isoformat() in rules["dates"]:
        found = rules["dates"][day.isoformat()]
    elif rules["holidays"] == "closed" and day in public_holidays(country, day.year):
        found = []
    elif usual and "holiday_eves" in rules and following in public_holidays(country, following.year):
        found = rules["holiday_eves"]
    times = [tuple(int(time[:2]) * 60 + int(time[3:]) for time in interval) for interval in found]
    return {minute for begin, end in times for minute in range(begin, end)}


class Oracle:
    """Whether a minute is open, slowly."""

    def __init__(self, rules: dict[str, Any], key: str) -> None:
        self.rules = rules
        self.country, _, zones = key.partition(":")
        self.zones = [time_zone(name) for name in zones.split(",")]
        self.days: dict[date, set[int]] = {}

    def open(self, moment: datetime) -> bool:
        return all(local.hour * 60 + local.minute in self.on(local.date()) for local in map(moment.astimezone, self.zones))

    def on(self, day: date) -> set[int]:
        if day not in self.days:
            self.days[day] = minutes_of(self.rules, self.country, day)
        return self.days[day]

    def day(self, moment: datetime) -> date:
        return moment.astimezone(self.zones[0]).date()

    def walk(self, moment: datetime, step: timedelta, *, open_: bool) -> datetime:
        """The first minute from here on, at most `SEARCHED` away, that is not as `open_` says."""
        end = moment + (step / MINUTE) * SEARCHED
        while moment != end and self.open(moment) is open_:
            moment += step
        return moment


# Minutes of the day, mostly around those at which clocks are changed.
EDGES = [0, 30, 60, 75, 90, 105, 119, 120, 121, 135, 150, 165, 180, 240, 480, 1260, 1380, 1410, 1440]


def intervals() -> st.SearchStrategy[list[list[str]]]:
    edges = st.lists(st.sampled_from(EDGES) | st.integers(0, 1440), min_size=2, max_size=6, unique=True).map(sorted)
    times = edges.map(lambda some: [f"{minute // 60:02}:{minute % 60:02}" for minute in some])
    pairs = times.map(lambda some: [some[index : index + 2] for index in range(0, len(some) - 1, 2)])
    return pairs | st.just([["00:00", "24:00"]]) | st.just([])


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], str, datetime, bool]:
    key, near = draw(st.sampled_from(MOMENTS))
    moment = near + draw(st.integers(-40 * 3600, 40 * 3600)) * SECOND
    dates = [(near + timedelta(days=days)).date().isoformat() for days in (-1, 0, 1)]
    rules: dict[str, Any] = {name: draw(intervals()) for name in WEEKDAYS}
    rules["holidays"] = draw(st.sampled_from(["open", "closed"]))
    rules["dates"] = draw(st.dictionaries(st.sampled_from(dates), intervals(), max_size=2))
    if draw(st.booleans()):
        rules["holiday_eves"] = draw(intervals())
    return rules, key, moment, draw(st.booleans())


@settings(max_examples=50, deadline=None)
@given(cases())
@example(({**week(["00:00", "24:00"]), "holidays": "open", "dates": {}}, HAVANA, at("2026-03-08T05:00"), True))
@example(({**week(["00:00", "24:00"]), "holidays": "open", "dates": {}}, APIA, at("2011-12-30T10:00"), True))
def test_the_window_is_what_the_clock_shows(case: tuple[dict[str, Any], str, datetime, bool]) -> None:
    rules, key, moment, by_day = case
    oracle = Oracle(rules, key)
    minute = moment.replace(second=0)
    opens = oracle.walk(minute, MINUTE, open_=False)
    window = next_window(CallingHours.model_validate(rules), key, moment, by_day=by_day)
    if opens == minute + SEARCHED:
        assert window is None or window.opens_at >= opens
        return
    assert window is not None
    begin, end = oracle.walk(opens, -MINUTE, open_=True) + MINUTE, oracle.walk(opens, MINUTE, open_=True)
    day = oracle.day(opens)
    assert [oracle.day(each) == day for each in edges_of(window)] == [False, True, True, False]
    if by_day:
        begin, end = max(begin, window.day_from), min(end, window.day_to)
    for found, expected in ((window.opens_at, begin), (window.closes_at, end)):
        assert found == expected or (abs(expected - opens) >= SEARCHED - MINUTE and abs(found - opens) >= abs(expected - opens))


def edges_of(window: Window) -> list[datetime]:
    """The minutes just outside and just inside the day."""
    return [window.day_from - MINUTE, window.day_from, window.day_to - MINUTE, window.day_to]
