"""When the leads of a time zone may be called next: one stretch of time, for the claim to compare with now().

The calling hours are read off the wall clock: a moment is open when the date and the time of a clock in the zone are within them. So an
hour that the clocks skip is never open, and an hour that they show twice is open both times, or neither.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Final, NamedTuple

from dialer.policy.calling_hours import DAY, CallingHours
from dialer.policy.time_zones import read_key, time_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from zoneinfo import ZoneInfo

MINUTE: Final = timedelta(minutes=1)
# Beyond this, only days that are listed by their date are looked for: no weekday is closed for longer by holidays and dates alone, unless
# somebody has listed more than a year of dates.
HORIZON: Final = timedelta(days=400)
# How long before the moment its window may have begun. Nearly all begin on the same day or the day before; one that is open for more than a
# week has no end, and any begin will do.
NEAR: Final = timedelta(days=2)
FAR: Final = timedelta(days=9)
# With by_day, more than this is not needed of a window: it is cut to a day.
DAYS_ENOUGH: Final = timedelta(days=4)
# PostgreSQL's -infinity and infinity, as asyncpg writes them.
ALWAYS_FROM: Final = datetime.min.replace(tzinfo=UTC)
ALWAYS_TO: Final = datetime.max.replace(tzinfo=UTC)

Stretch = tuple[datetime, datetime]


class Window(NamedTuple):
    """From `opens_at` on and before `closes_at`, leads may be called; the calls of the day are those from `day_from` to before `day_to`.

    All in UTC. The day is the lead's own calendar day at `opens_at` or at the moment that was asked for, whichever is later.
    """

    opens_at: datetime
    closes_at: datetime
    day_from: datetime
    day_to: datetime


def next_window(hours: CallingHours | None, zone_key: str, moment: datetime, *, by_day: bool) -> Window | None:
    """The window that contains `moment`, else the next one; None: it never opens. Without hours it is always open.

    It is open where all zones of the key are; a key without a zone, or with an unknown one, never opens. With `by_day`, for a daily cap, it
    stays within one calendar day of the first zone (none: of UTC). One that goes on for more than `HORIZON` is cut there.
    """
    moment = moment.astimezone(UTC)
    country, names = read_key(zone_key)
    zones = [zone for zone in map(time_zone, names) if zone]
    if hours is None:
        return _window((ALWAYS_FROM, ALWAYS_TO), moment, zones, by_day=by_day)
    if not zones or len(zones) < len(names):
        return None
    stretch = _Search(hours, country, zones, moment).run(by_day=by_day)
    return _window(stretch, moment, zones, by_day=by_day) if stretch else None


def _window(stretch: Stretch, moment: datetime, zones: list[ZoneInfo], *, by_day: bool) -> Window:
    zone = zones[0] if zones else UTC
    opens_at, closes_at = stretch
    day = max(moment, opens_at).astimezone(zone).date()
    # Where the clocks skip midnight, this is the moment at which they do.
    day_from, day_to = (datetime.combine(each, time(), zone).astimezone(UTC) for each in (day, day + DAY))
    return Window(max(opens_at, day_from), min(closes_at, day_to), day_from, day_to) if by_day else Window(*stretch, day_from, day_to)


class _Search(NamedTuple):
    hours: CallingHours
    country: str
    zones: list[ZoneInfo]
    moment: datetime

    def run(self, *, by_day: bool) -> Stretch | None:
        """The stretch of open time that contains the moment, else the next one."""
        near, end = self.moment - NEAR, self.moment + (HORIZON if any(self.hours.week) else timedelta())
        found = self._first((near, end), longest=DAYS_ENOUGH if by_day else HORIZON)
        if found and found[0] == near and not by_day:
            return self._first((self.moment - FAR, end))
        return found or self._first_listed()

    def _first_listed(self) -> Stretch | None:
        """The same, of the days that are listed by their date alone: they may be years away."""
        days = sorted(day for day, intervals in self.hours.listed.items() if intervals)
        noons = (datetime.combine(day, time(12), UTC) for day in days)
        return next(filter(None, (self._first((noon - NEAR, noon + NEAR)) for noon in noons)), None)

    def _first(self, within: Stretch, longest: timedelta = HORIZON + FAR) -> Stretch | None:
        """The first stretch that ends later than the moment, of those in which every zone is open."""
        common = reduce(_common, (self._open(zone, within) for zone in self.zones))
        return next((stretch for stretch in _joined(common, longest) if stretch[1] > self.moment), None)

    def _open(self, zone: ZoneInfo, within: Stretch) -> Iterator[Stretch]:
        """When one zone is open, in order; stretches may touch."""
        for begin, end, offset in _offsets(zone, within):
            for day in _days(begin + offset, end + offset):
                midnight = datetime.combine(day, time(), UTC) - offset
                for opens, closes in self.hours.on(day, self.country):
                    stretch = max(begin, midnight + opens * MINUTE), min(end, midnight + closes * MINUTE)
                    if stretch[0] < stretch[1]:
                        yield stretch


def _days(begin: datetime, end: datetime) -> Iterator[date]:
    """The calendar days of a stretch of local time."""
    day = begin.date()
    while datetime.combine(day, time(), UTC) < end:
        yield day
        day += DAY


def _offsets(zone: ZoneInfo, within: Stretch) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The stretches in which the zone keeps one distance from UTC, none longer than a day."""
    begin, end = within
    while begin < end:
        change = _change(zone, begin, min(begin + DAY, end))
        yield begin, change, _offset(zone, begin)
        begin = change


def _change(zone: ZoneInfo, begin: datetime, end: datetime) -> datetime:
    """The moment at which the clocks are changed; `end`, if they are not. No zone changes them twice in a day."""
    after = _offset(zone, end)
    if _offset(zone, begin) == after:
        return end
    while end - begin > timedelta.resolution:
        middle = begin + (end - begin) // 2
        begin, end = (begin, middle) if _offset(zone, middle) == after else (middle, end)
    return end


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _joined(stretches: Iterable[Stretch], longest: timedelta) -> Iterator[Stretch]:
    """Sorted stretches, those that touch made one until it is as long as `longest`."""
    last: Stretch | None = None
    for stretch in stretches:
        if last and last[1] == stretch[0] and last[1] - last[0] < longest:
            last = last[0], stretch[1]
            continue
        if last:
            yield last
        last = stretch
    if last:
        yield last


def _common(left: Iterable[Stretch], right: Iterable[Stretch]) -> Iterator[Stretch]:
    """What two sorted sequences of stretches have in common, in order."""
    lefts, rights = iter(left), iter(right)
    a, b = next(lefts, None), next(rights, None)
    while a and b:
        both = max(a[0], b[0]), min(a[1], b[1])
        if both[0] < both[1]:
            yield both
        if a[1] <= b[1]:
            a = next(lefts, None)
        else:
            b = next(rights, None)
