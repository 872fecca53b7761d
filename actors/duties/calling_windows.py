"""Computes when the zones of running runs are open next, before the claim needs to know: the claim only compares with the clock.

A zone without a window is closed. One is computed when there is none, or when the last one has passed.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dialer.concurrency.loop import Loop
from dialer.policy.calling_hours import CallingHours
from dialer.policy.windows import next_window
from sql.runs.zone_windows import ZoneWindow

if TYPE_CHECKING:
    from actors.services import Services
    from sql.runs.zone_windows import ClosedZone

PAUSE_SECONDS = 1.0
# At most a millisecond each, all in one step of the event loop.
MAX_ZONES = 32
KNOWN_HOURS = 1_000

log = logging.getLogger(__name__)


class WindowDuty:
    """The windows of the runs of this worker's partitions."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        self._services = services
        self.loop = Loop("calling windows", self._plan, pause=PAUSE_SECONDS)

    async def _plan(self) -> None:
        """Compute a batch of windows; again at once while a whole batch could be stored."""
        while (partitions := list(self._services.ownership.epochs)) and not self.loop.closed:
            zones = await self._services.runs.closed_zones(partitions, MAX_ZONES)
            stored = await self._services.runs.store_windows([_window(zone) for zone in zones]) if zones else 0
            if stored < MAX_ZONES:
                return


def _window(zone: ClosedZone) -> ZoneWindow:
    try:
        window = next_window(_hours(json.dumps(zone.hours)), zone.zone, zone.now, by_day=zone.by_day)
    except ValueError:
        # Checked when they were set, so another program has written them. The zone stays closed for a day.
        log.exception("the calling hours of run %d are not valid: nothing is dialled", zone.run_id)
        window = next_window(CallingHours(), zone.zone, zone.now, by_day=zone.by_day)
    return ZoneWindow(zone, window)


@lru_cache(KNOWN_HOURS)
def _hours(text: str) -> CallingHours | None:
    value: Any = json.loads(text)
    return None if value is None else CallingHours.model_validate(value)
