"""The hours at which leads may be called, by the wall clock of the lead.

What holds on a calendar day, the first that applies: its own entry in `dates`; a closed holiday; the hours of a holiday's eve; the weekday.
The eve never opens a weekday that is closed: the day before a holiday may be a Saturday. `dialer/policy/windows.py` makes moments of it.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from dialer.policy.field_errors import refuse
from dialer.policy.public_holidays import is_holiday

# Minutes since midnight on the wall clock: from, and to (itself not included, at most 1440).
Minutes = tuple[tuple[int, int], ...]

DAY: Final = timedelta(days=1)
TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")
DATE: Final = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}")
MAX_INTERVALS: Final = 24
MAX_DATES: Final = 1000
# Seven days that nobody can list by their date.
ANY_WEEK: Final = tuple(date(1, 1, day) for day in range(1, 8))

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _pair(value: object) -> object:
    if not isinstance(value, list) or [type(time) for time in value] != [str, str]:
        refuse("interval")
    return value


def _interval(times: list[str]) -> list[str]:
    if not all(TIME.fullmatch(time) for time in times):
        refuse("time_of_day")
    if times[0] >= times[1]:
        refuse("interval_order")
    return times


def _apart(intervals: list[list[str]]) -> list[list[str]]:
    for (_, end), (begin, _) in pairwise(sorted(intervals)):
        if begin < end:
            refuse("intervals_overlap", begin=begin, end=end)
    return intervals


def _calendar_date(text: str) -> date:
    if not DATE.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _calendar(dates: dict[str, list[list[str]]]) -> dict[str, list[list[str]]]:
    for text in dates:
        try:
            _calendar_date(text)
        except ValueError:
            refuse("calendar_date", date=text[:20])
    return dates


Interval = Annotated[list[str], BeforeValidator(_pair), AfterValidator(_interval)]
Intervals = Annotated[list[Interval], AfterValidator(_apart), Field(max_length=MAX_INTERVALS)]
Dates = Annotated[dict[str, Intervals], AfterValidator(_calendar), Field(max_length=MAX_DATES)]


def _minutes(intervals: list[list[str]]) -> Minutes:
    return tuple((_minute(begin), _minute(end)) for begin, end in sorted(intervals))


def _is_within(inner: Minutes, outer: Minutes) -> bool:
    """Whether all of the inner intervals is covered by the outer ones."""
    return all(_covers(outer, begin, end) for begin, end in inner)


def _covers(outer: Minutes, begin: int, end: int) -> bool:
    for opens, closes in outer:
        if opens <= begin < closes:
            begin = closes
    return begin >= end


class CallingHours(BaseModel):
    """`calling_hours` of contract section 7: half-open intervals of "HH:MM" for each weekday; a missing one is closed.

    Without `holidays` they are closed; an open one is a day like any other. Without `holiday_eves` so is the day before a holiday.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    monday: Intervals = []
    tuesday: Intervals = []
    wednesday: Intervals = []
    thursday: Intervals = []
    friday: Intervals = []
    saturday: Intervals = []
    sunday: Intervals = []
    holidays: Literal["closed", "open"] = "closed"
    holiday_eves: Intervals | None = None
    dates: Dates = {}

    def on(self, day: date, country: str) -> Minutes:
        """When it is open on this calendar day, for a lead in this country (ISO 3166): sorted, apart, perhaps touching."""
        return self._on(day, holiday=is_holiday(country, day), eve=is_holiday(country, day + DAY))

    def is_within(self, other: CallingHours) -> bool:
        """Whether the other hours are open whenever these are, in any country: each day may be a holiday, an eve, both or neither."""
        days = [*ANY_WEEK, *self.listed, *other.listed]
        kinds = [{"holiday": holiday, "eve": eve} for holiday in (False, True) for eve in (False, True)]
        return all(_is_within(self._on(day, **kind), other._on(day, **kind)) for day in days for kind in kinds)

    def _on(self, day: date, *, holiday: bool, eve: bool) -> Minutes:
        listed = self.listed.get(day)
        if listed is not None:
            return listed
        if holiday and self.holidays == "closed":
            return ()
        usual = self.week[day.weekday()]
        return self._eve if eve and usual and self._eve is not None else usual

    @cached_property
    def week(self) -> tuple[Minutes, ...]:
        """The hours of the seven weekdays, Monday first."""
        return tuple(_minutes(getattr(self, name)) for name in WEEKDAYS)

    @cached_property
    def listed(self) -> dict[date, Minutes]:
        """The hours of the days that are named by their date."""
        return {_calendar_date(text): _minutes(intervals) for text, intervals in self.dates.items()}

    @cached_property
    def _eve(self) -> Minutes | None:
        return None if self.holiday_eves is None else _minutes(self.holiday_eves)


def default_hours(region: str) -> CallingHours:
    """The hours of a new business: 08:00 to 21:00 every day; in Israel not on Saturdays, holidays and the afternoons before them."""
    whole, short = [["08:00", "21:00"]], [["08:00", "15:00"]]
    if region != "IL":
        return CallingHours.model_validate({**dict.fromkeys(WEEKDAYS, whole), "holidays": "open"})
    week = {**dict.fromkeys(WEEKDAYS, whole), "friday": short, "saturday": []}
    return CallingHours.model_validate({**week, "holidays": "closed", "holiday_eves": short})
