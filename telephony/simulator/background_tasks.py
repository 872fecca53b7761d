"""Owns the tasks of the simulator: each is referenced while it runs, and all are cancelled when the simulator stops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType


class BackgroundTasks:
    """A task group that can be cancelled early; an error in one task ends the simulator with that error."""

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
            # Raise an error of the block as it is; the group would wrap it in an exception group.
            await self._group.__aexit__(None, None, None)

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run `work` concurrently with the others."""
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def idle(self) -> None:
        """Wait until no task runs; the caller sets a time-out."""
        while self._running:
            await asyncio.wait(tuple(self._running))

    def cancel_all(self) -> None:
        """Cancel every running task."""
        for task in tuple(self._running):
            task.cancel()
