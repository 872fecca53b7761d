"""Says on every running run who drives it: `locked_by_worker` and `lock_ts`, for the businesses this worker really drives.

On the road of a call: not on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.rounds import PeriodicDuty

if TYPE_CHECKING:
    from actors.services import Services
    from actors.supervisor.supervisor import BusinessSupervisor

ROUND_SECONDS = 1.0
# lock_ts is never older than 30 s while a run is driven (contract, section 3).
HEARTBEAT_SECONDS = 10.0
# A business counts as driven so long after it was last looked at; that is done every 5 s.
DRIVEN_SECONDS = 15.0


class Heartbeat(PeriodicDuty):
    """The heartbeats of one worker."""

    def __init__(self, services: Services, partitions: BusinessSupervisor, name: str) -> None:
        """`name` is what runs show as `locked_by_worker`."""
        super().__init__("heartbeat", ROUND_SECONDS, self._beat)
        self._services = services
        self._partitions = partitions
        self._worker = name

    async def _beat(self) -> None:
        driven = self._partitions.driven_since(self._services.clock.boot() - DRIVEN_SECONDS)
        if driven:
            await self._services.workers.heartbeat(self._services.ownership.incarnation, self._worker, HEARTBEAT_SECONDS, driven)
