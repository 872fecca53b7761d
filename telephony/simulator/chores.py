"""The tasks of the simulator, owned: each is kept while it runs, and all end with it.

On the road of a call: each call's progress at the far end, and each of its callbacks, runs as one of these.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType


class Chores:
    """A task group that may also be ended early; an error in one of them ends the simulator loudly."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cancel_all()
        if kind is None or issubclass(kind, asyncio.CancelledError):
            await self._group.__aexit__(kind, error, trace)
        else:
            # An error of the one who uses the simulator stays what it is; the group would wrap it into a group of errors.
            await self._group.__aexit__(None, None, None)

    def __len__(self) -> int:
        return len(self._running)

    def start(self, chore: Coroutine[object, object, None]) -> None:
        """Run `chore` beside the others."""
        task = self._group.create_task(chore)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def idle(self) -> None:
        """Wait until no chore runs; bound it by a time-out."""
        while self._running:
            await asyncio.wait(tuple(self._running))

    def cancel_all(self) -> None:
        """End every chore that runs now."""
        for task in tuple(self._running):
            task.cancel()
