"""What will become of the leads of a run before it is started: called, when first, and if not, why.

The rules come in the order in which the claim decides them (sql/attempts/check_v1.sql). A lead of a closed zone is decided when it opens.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dialer.policy.earlier_calls import calls_today, gap_ends
from dialer.policy.time_zones import read_key
from dialer.policy.windows import next_window

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from dialer.policy.calling_hours import CallingHours
    from dialer.policy.earlier_calls import EarlierCall
    from dialer.policy.run_settings import RunRules
    from dialer.policy.windows import Window

CLOSED: Final = "closed"
DAILY_CAP: Final = "daily_cap"
RECENTLY_CALLED: Final = "recently_called"
# After a wait for the day or the gap the lead is decided anew; each wait moves it to another day, and all its calls are in the past.
MAX_WAITS: Final = 10


@dataclass(frozen=True, slots=True)
class Prospect:
    """A lead before it is called: its zone key, and the earlier calls to its phone.

    `is_listed` when the phone is on a do-not-call list, `is_refused` when the provider has refused it lately.
    """

    zone: str
    calls: Sequence[EarlierCall] = ()
    is_listed: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """`at` is when the lead may first be called, None when it is skipped; `reason` why it waits or is skipped.

    `is_recent` when it was called so lately that the gap keeps it.
    """

    at: datetime | None
    reason: str | None = None
    is_recent: bool = False


class ZoneCalendar:
    """The windows of one time zone from a moment on, computed as far as they are asked for."""

    def __init__(self, hours: CallingHours | None, zone: str, start: datetime, *, by_day: bool) -> None:
        """`by_day` as in `next_window`."""
        self._hours = hours
        self._zone = zone
        self._by_day = by_day
        self._closes: list[datetime] = []
        self._windows: list[Window] = []
        self._next: datetime | None = start

    def at(self, moment: datetime) -> Window | None:
        """The window that contains `moment`, which is not before the start, else the next one; None: it never opens again."""
        while self._next is not None and (not self._closes or self._closes[-1] <= moment):
            window = next_window(self._hours, self._zone, self._next, by_day=self._by_day)
            self._next = window.closes_at if window else None
            if window:
                self._windows.append(window)
                self._closes.append(window.closes_at)
        n = bisect_right(self._closes, moment)
        return self._windows[n] if n < len(self._windows) else None


class Preflight:
    """Decides the leads of one run, under the rules that hold for it, as if it were started at `start`."""

    def __init__(self, rules: RunRules, countries: Collection[str] | None, start: datetime) -> None:
        """`countries` that the business allows, None for all."""
        self._rules = rules
        self._countries = countries
        self._start = start
        self._calendars: dict[str, ZoneCalendar] = {}

    def calendar(self, zone: str) -> ZoneCalendar:
        """The windows of a zone from the start on."""
        if zone not in self._calendars:
            by_day = self._rules.max_per_day is not None
            self._calendars[zone] = ZoneCalendar(self._rules.calling_hours, zone, self._start, by_day=by_day)
        return self._calendars[zone]

    def decide(self, prospect: Prospect) -> Forecast:
        """What will become of a lead."""
        if self._countries is not None and read_key(prospect.zone).country not in self._countries:
            return Forecast(None, "country_not_allowed")
        if prospect.is_listed:
            return Forecast(None, "do_not_call")
        if prospect.is_refused:
            return Forecast(None, "number_refused")
        window = self.calendar(prospect.zone).at(self._start)
        if window is None:
            return Forecast(None, "hours_never_open")
        at = max(window.opens_at, self._start)
        return self._called(prospect, at, window, CLOSED if at > self._start else None)

    def _called(self, prospect: Prospect, at: datetime, window: Window, reason: str | None) -> Forecast:
        """When a lead that may be called at all is called first."""
        is_recent = False
        for _ in range(MAX_WAITS):
            if self._is_capped(prospect, window):
                reason, until = reason or DAILY_CAP, window.day_to
            elif (ends := gap_ends(prospect.calls, self._rules.min_gap_hours or 0, (), at)) is not None:
                is_recent = True
                if self._rules.recently_called == "skip":
                    return Forecast(None, RECENTLY_CALLED, is_recent)
                reason, until = reason or RECENTLY_CALLED, ends
            else:
                break
            later = self.calendar(prospect.zone).at(until)
            if later is None:
                return Forecast(None, "hours_never_open", is_recent)
            at, window = max(later.opens_at, until), later
        return Forecast(at, reason, is_recent)

    def _is_capped(self, prospect: Prospect, window: Window) -> bool:
        cap = self._rules.max_per_day
        return cap is not None and bool(prospect.calls) and calls_today(prospect.calls, window.day_from) >= cap
