"""Tells the screens how runs and calls stand: best effort, at most four events a second and run.

On the road of a call: after 7. What must not be lost goes through the outbox instead.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dialer.messages import Event
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.services import Services

# Two events a round and run: its counters, and its calls on the line.
ROUND_SECONDS = 0.5


class ProgressPublisher:
    """Collects which runs have changed, and publishes each of them once a round."""

    def __init__(self, services: Services) -> None:
        """Begin with `run`."""
        self._services = services
        self._changed: dict[tuple[int, int], None] = {}
        self._rung = asyncio.Event()
        self._closed = False

    def show(self, business_id: int, run_id: int) -> None:
        """This run looks different now."""
        self._changed[business_id, run_id] = None
        self._rung.set()

    def close(self) -> None:
        """Publish no more."""
        self._closed = True
        self._rung.set()

    async def run(self) -> None:
        """Publish until closed."""
        while not self._closed:
            await self._rung.wait()
            self._rung.clear()
            runs = list(self._changed)
            self._changed.clear()
            # A screen that is behind catches up with the next change.
            with suppress(DatabaseUnavailableError):
                await self._publish(runs)
            await asyncio.sleep(ROUND_SECONDS)

    async def _publish(self, runs: list[tuple[int, int]]) -> None:
        if not runs:
            return
        counters = await self._services.workers.progress(runs)
        calls = await self._calls(runs)
        events = []
        for found in counters:
            business_id, run_id = found.pop("business_id"), found.pop("run_id")
            now = self._services.clock.now()
            events.append(Event("run.progress", business_id, run_id, at=now, data=found))
            events.append(Event("call.progress", business_id, run_id, at=now, data={"calls": calls[business_id, run_id]}))
        await self._services.streams.publish(events)

    async def _calls(self, runs: list[tuple[int, int]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
        calls: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
        for call in await self._services.workers.on_the_line(runs):
            calls[call.pop("business_id"), call.pop("run_id")].append(call)
        return calls
