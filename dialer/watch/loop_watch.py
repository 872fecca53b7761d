"""Measures how long the event loop stood still: meanwhile a process answers nothing, and its lease expires.

The figures can be read from another thread while the loop is blocked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from dialer.concurrency.loop import Loop

if TYPE_CHECKING:
    from types import TracebackType

    from dialer.clock import Clock

TICK_SECONDS = 0.5
# The worst figure is that of the present span and the one before it: a scrape every half minute misses nothing.
SPAN_SECONDS = 30.0
# A process whose loop stands still for longer is not well: half the lease of a worker.
LONGEST_SECONDS = 3.0


class LoopWatch:
    """A task that should run every half second; how late it is, is how long the loop stood still."""

    def __init__(self, clock: Clock) -> None:
        """Use with `async with`."""
        self._clock = clock
        self._ticked_at = self._span_began_at = clock.boot()
        self._worst = self._worst_before = 0.0
        self._loop = Loop("loop watch", self._tick, pause=TICK_SECONDS)
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Start measuring."""
        await self._tasks.__aenter__()
        self._ticked_at = self._clock.boot()
        self._tasks.create_task(self._loop.run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self._loop.close()
        await self._tasks.__aexit__(None, None, None)

    @property
    def standstill_seconds(self) -> float:
        """How long the loop has been standing still by now; 0 when it turns."""
        return max(self._clock.boot() - self._ticked_at - TICK_SECONDS, 0.0)

    @property
    def worst_seconds(self) -> float:
        """The longest it stood still in the last 30 to 60 s."""
        return max(self.standstill_seconds, self._worst, self._worst_before)

    @property
    def trouble(self) -> str:
        """That the loop stands still, in words; "" when it turns."""
        return (
            f"the event loop has been standing still for {seconds:.0f} s" if (seconds := self.standstill_seconds) > LONGEST_SECONDS else ""
        )

    async def _tick(self) -> None:
        late, now = self.standstill_seconds, self._clock.boot()
        self._ticked_at = now
        if now - self._span_began_at > SPAN_SECONDS:
            self._worst, self._worst_before, self._span_began_at = 0.0, self._worst, now
        self._worst = max(self._worst, late)
