"""Publishes how runs and calls stand: best effort, at most four events a second and run.

Events that must not be lost go through the outbox instead.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from dialer.concurrency.loop import Loop
from dialer.messages import Event

if TYPE_CHECKING:
    from actors.services import Services

# Each time two events a run: its counters, and its calls on the line.
REST_SECONDS = 0.5


class ProgressPublisher:
    """Collects which runs have changed, and publishes each of them once in `REST_SECONDS`."""

    def __init__(self, services: Services) -> None:
        """`services` has the numbers and the stream."""
        self._services = services
        self._changed: dict[tuple[int, int], None] = {}
        self.loop = Loop("progress", self._publish_changed, pause=None, rest_seconds=REST_SECONDS)

    def mark_changed(self, business_id: int, run_id: int) -> None:
        """Publish this run soon."""
        self._changed[business_id, run_id] = None
        self.loop.ring()

    async def _publish_changed(self) -> None:
        """Publish, once; what could not be read is published with the run's next change."""
        runs = list(self._changed)
        self._changed.clear()
        if runs:
            await self._publish(runs)

    async def _publish(self, runs: list[tuple[int, int]]) -> None:
        counters = await self._services.workers.progress(runs)
        calls = await self._calls(runs)
        events = []
        for row in counters:
            business_id, run_id = row.pop("business_id"), row.pop("run_id")
            now = self._services.clock.now()
            events.append(Event("run.progress", business_id, run_id, at=now, data=row))
            events.append(Event("call.progress", business_id, run_id, at=now, data={"calls": calls[business_id, run_id]}))
        await self._services.streams.publish(events)

    async def _calls(self, runs: list[tuple[int, int]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
        calls: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
        for call in await self._services.workers.on_the_line(runs):
            calls[call.pop("business_id"), call.pop("run_id")].append(call)
        return calls
