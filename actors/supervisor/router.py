"""Reads the hints from Redis and polls PostgreSQL, and routes what they report to the businesses.

The hint of a command arrives here, and so does the hint of each recorded callback.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from actors import worker_spans
from actors.supervisor.messages import OpenCall, Wake
from dialer.concurrency.loop import Loop
from dialer.messages import CallChanged, RunChanged
from dialer.model import AttemptState
from dialer.streams.client import RedisUnavailableError
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.calls.call import Call
    from actors.calls.excess_calls import ExcessCalls
    from actors.dispatch.run_pauser import RunPauser
    from actors.services import Services
    from actors.supervisor.effects import EffectRunner
    from dialer.concurrency.tasks import Tasks
    from dialer.messages import Hint
    from sql.attempts.attempts import OpenAttempt
    from sql.workers.workers import ActiveBusiness

# A read waits so long for a hint.
BLOCK_SECONDS = 0.5
# PostgreSQL is polled as a safety net, and more often while Redis is away, since no hints come.
POLL_SECONDS = 5.0
POLL_AWAY_SECONDS = 1.0


class Router:
    """Two loops: `hints` reads the streams of this worker's partitions, `polls` finds what no hint has reported."""

    def __init__(self, services: Services, tasks: Tasks, effects: EffectRunner, pauser: RunPauser, excess: ExcessCalls) -> None:
        """Messages go to the businesses through `effects`; `tasks` reads businesses that are not driven yet."""
        self._services = services
        self._tasks = tasks
        self._effects = effects
        self._registry = effects.registry
        self._pauser = pauser
        self._excess = excess
        # The last entry read of each partition's stream.
        self._positions: dict[int, str] = {}
        self._reading: asyncio.Timeout | None = None
        self.hints = Loop("hints", self._read_hints, pause=0.0, retry_seconds=POLL_AWAY_SECONDS)
        self.polls = Loop("poll", self.poll, pause=POLL_SECONDS)

    def add(self, partitions: Iterable[int], start: str) -> None:
        """Read the hints to these partitions from now on, those after the entry `start`."""
        self._positions.update(dict.fromkeys(partitions, start))
        if self._reading and not self._reading.expired():
            # The read in progress does not have them: a hint to them would wait until it ends.
            self._reading.reschedule(asyncio.get_running_loop().time())

    def remove(self, partitions: Iterable[int]) -> None:
        """Read their hints no more."""
        for partition in partitions:
            self._positions.pop(partition, None)

    # -- hints -------------------------------------------------------------------------------------------------------------------

    async def _read_hints(self) -> None:
        hints: list[tuple[int, str, Hint | None]] = []
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._reading:
                    hints = await self._next_hints()
        except RedisUnavailableError:
            self.polls.ring()
            raise
        finally:
            self._reading = None
        for partition, entry, hint in hints:
            if partition in self._positions:
                self._positions[partition] = entry
                self._route(hint)

    async def _next_hints(self) -> list[tuple[int, str, Hint | None]]:
        if not self._positions:
            await asyncio.sleep(BLOCK_SECONDS)
            return []
        return await self._services.streams.hints_after(dict(self._positions), block_seconds=BLOCK_SECONDS)

    def _route(self, hint: Hint | None) -> None:
        if hint is None:
            return
        if isinstance(hint, RunChanged):
            worker_spans.run_taken(self._services, hint)
            self._pauser.forget(hint.run_id)
        elif hint.hang_up:
            # It may be about a second call of its attempt.
            self._excess.loop.ring()
        if self._registry.get(hint.business_id):
            self._effects.deliver(hint.business_id, hint)
        else:
            self._tasks.spawn(self._route_to_idle(hint))

    async def _route_to_idle(self, hint: RunChanged | CallChanged) -> None:
        """Start to drive a business that had nothing to do until this hint."""
        try:
            row = await self._services.workers.business(hint.business_id)
        except DatabaseUnavailableError:
            # The poll will find it.
            return
        if row and row.partition in self._services.ownership.epochs:
            self._registry.update(row)
            self._effects.deliver(hint.business_id, hint)
            self._effects.deliver(hint.business_id, Wake())

    # -- polls -------------------------------------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Poll all partitions of this worker.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
        """
        await self.poll_once(list(self._services.ownership.epochs))

    async def poll_once(self, partitions: list[int]) -> None:
        """Adopt every open attempt without a coroutine, end the coroutines of closed ones, and wake every business with a running run.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
        """
        if not partitions:
            return
        with self._registry.recording_ends() as ended:
            followed = [call for call in self._registry.calls.values() if not call.placing]
            attempts = await self._services.attempts.open_of_partitions(partitions)
            self._update(partitions, await self._services.workers.busy_businesses(partitions))
            for attempt in attempts:
                if attempt.attempt_id not in ended:
                    self._effects.deliver(attempt.business_id, OpenCall(attempt))
            self._end_closed(followed, attempts, partitions)
            for entry in self._registry.within(partitions):
                self._effects.deliver(entry.business_id, Wake())

    def _update(self, partitions: list[int], rows: list[ActiveBusiness]) -> None:
        for row in rows:
            self._registry.update(row)
        active = {row.business_id for row in rows}
        for entry in self._registry.within(partitions):
            # A business without an account claims nothing, so no verdict will say that it has nothing left to do.
            if entry.account is None and entry.business_id not in active:
                self._registry.drop(entry.business_id)

    def _end_closed(self, followed: list[Call], attempts: list[OpenAttempt], partitions: list[int]) -> None:
        """Notify the coroutines whose attempts PostgreSQL does not list as open: they have ended, and the hint was lost."""
        still_open = {attempt.attempt_id for attempt in attempts}
        for call in followed:
            known = call.attempt
            if known.attempt_id not in still_open and self._registry.partition_of(call) in partitions:
                hint = CallChanged(known.business_id, known.run_id, known.job_id, known.attempt_id, AttemptState.OVER)
                self._effects.deliver(known.business_id, hint)
