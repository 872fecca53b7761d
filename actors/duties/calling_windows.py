"""Computes when the zones of running runs are open next, before the claim needs to know: the claim only compares with the clock.

A zone without a window is closed. One is computed when there is none, or when the last one has passed. A run whose window cannot be stored,
because a row is locked or its rules have just changed, is postponed and delays no other.
"""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.backoff import Backoff
from dialer.concurrency.loop import Loop
from dialer.policy.calling_hours import CallingHours
from dialer.policy.time_zones import read_key, time_zone
from dialer.policy.windows import Window, next_window
from sql.runs.zone_windows import ZoneWindow

if TYPE_CHECKING:
    from datetime import datetime

    from actors.services import Services
    from sql.runs.zone_windows import ClosedZone

PAUSE_SECONDS = 1.0
MAX_ZONES = 128
# Where more zones have to be open together, the search takes up to half a second: in a thread. With fewer it takes a millisecond or two.
MANY_ZONES = 6
FIRST_POSTPONED_SECONDS, LONGEST_POSTPONED_SECONDS = 1.0, 5.0
KNOWN_HOURS, KNOWN_WINDOWS = 1_000, 10_000
# A zone whose hours cannot be computed is looked at again, and one that never opens is searched again, after this.
UNKNOWN_FOR = timedelta(days=1)

log = logging.getLogger(__name__)


class _Rule(NamedTuple):
    """What a window depends on besides the time; `hours` as JSON."""

    hours: str
    zone: str
    by_day: bool


class _Result(NamedTuple):
    """The window computed for a rule at a time; None: it never opens."""

    at: datetime
    window: Window | None

    def holds(self, now: datetime) -> bool:
        """Whether it is still what would be computed now."""
        return self.at <= now < (self.window.closes_at if self.window else self.at + UNKNOWN_FOR)


class WindowDuty:
    """The windows of the runs of this worker's partitions."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        self._services = services
        self._backoff = Backoff(services.clock, first_seconds=FIRST_POSTPONED_SECONDS, longest_seconds=LONGEST_POSTPONED_SECONDS)
        self._known: dict[_Rule, _Result] = {}
        self.loop = Loop("calling windows", self._compute, pause=PAUSE_SECONDS)

    async def _compute(self) -> None:
        """Compute and store windows, a batch at a time, until none is missing but those that are postponed."""
        while (partitions := list(self._services.ownership.epochs)) and not self.loop.closed:
            zones = await self._services.runs.closed_zones(partitions, MAX_ZONES, self._backoff.postponed())
            if not zones:
                return
            stored = await self._services.runs.store_windows([await self._window(zone) for zone in zones])
            for run_id in {zone.run_id for zone in zones}:
                if run_id in stored:
                    self._backoff.reset(run_id)
                else:
                    self._backoff.postpone(run_id)

    async def _window(self, zone: ClosedZone) -> ZoneWindow:
        rule = _Rule(json.dumps(zone.hours), zone.zone, zone.by_day)
        known = self._known.get(rule)
        if known is None or not known.holds(zone.now):
            known = self._known[rule] = _Result(zone.now, await self._search(rule, zone))
            while len(self._known) > KNOWN_WINDOWS:
                del self._known[next(iter(self._known))]
        return ZoneWindow(zone, known.window)

    async def _search(self, rule: _Rule, zone: ClosedZone) -> Window | None:
        try:
            if rule.zone.count(",") < MANY_ZONES:
                return _next_window(rule, zone.now)
            return await asyncio.to_thread(_next_window, rule, zone.now)
        except ValueError:
            # Another program has written them, or a newer release: the leads wait, and are not skipped.
            log.exception("the calling hours of run %d, zone %s, cannot be computed: nothing is dialled for a day", zone.run_id, zone.zone)
            later = zone.now + UNKNOWN_FOR
            return Window(later, later, zone.now, later)


def _next_window(rule: _Rule, now: datetime) -> Window | None:
    unknown = [name for name in read_key(rule.zone).zones if time_zone(name) is None]
    if unknown:
        message = f"no such time zone: {unknown}"
        raise ValueError(message)
    return next_window(_hours(rule.hours), rule.zone, now, by_day=rule.by_day)


@lru_cache(KNOWN_HOURS)
def _hours(text: str) -> CallingHours | None:
    value: Any = json.loads(text)
    return None if value is None else CallingHours.model_validate(value)
