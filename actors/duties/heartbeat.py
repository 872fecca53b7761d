"""Writes on every running run which worker drives it: `locked_by_worker` and `lock_ts`, for the businesses this worker really drives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.concurrency.loop import Loop

if TYPE_CHECKING:
    from actors.services import Services
    from actors.supervisor.supervisor import BusinessSupervisor

PAUSE_SECONDS = 1.0
# lock_ts is never older than 30 s while a run is driven (contract, section 3).
HEARTBEAT_SECONDS = 10.0
# A business counts as driven for this long after it was last polled; the poll is every 5 s.
DRIVEN_SECONDS = 15.0


class Heartbeat:
    """The heartbeats of one worker."""

    def __init__(self, services: Services, supervisor: BusinessSupervisor, name: str) -> None:
        """`name` is what runs show as `locked_by_worker`."""
        self._services = services
        self._supervisor = supervisor
        self._worker = name
        self.loop = Loop("heartbeat", self._beat, pause=PAUSE_SECONDS)

    async def _beat(self) -> None:
        driven = self._supervisor.polled_since(self._services.clock.boot() - DRIVEN_SECONDS)
        if driven:
            await self._services.workers.heartbeat(self._services.ownership.incarnation, self._worker, HEARTBEAT_SECONDS, driven)
