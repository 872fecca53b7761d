"""An event loop whose time jumps to the next timer when nothing is ready: no real waiting, one order, the same each time.

Every handle belongs to the process in whose context it was made. A process can be killed between two steps of its tasks (at any await),
or frozen for a while as by SIGSTOP; the others, the servers among them, go on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

OWNER: ContextVar[Process | None] = ContextVar("owner", default=None)
# At the end, cancelled tasks that need more steps than this count as hanging.
MAX_LAST_STEPS, LAST_ROUNDS = 100_000, 20


# Longer than a lease and the take-over after it.
LONG_FREEZE_SECONDS = 9.0


class StalledError(Exception):
    """Nothing is ready and no timer is set: everything waits for something that cannot come."""


class Process:
    """What is killed, frozen and thawed as one."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.alive = True
        self.frozen = False
        self.steps = 0
        self.kill_at = self.freeze_at = 0
        self.freeze_seconds = LONG_FREEZE_SECONDS
        self.on_kill: Callable[[], Any] = lambda: None
        self.backlog: list[Handle] = []
        self.context = copy_context()
        self.context.run(OWNER.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in this process."""
        return self.context.run(self.loop.create_task, work)

    def kill(self) -> None:
        """Stop all its tasks for good; what it has sent still arrives."""
        if self.alive:
            self.alive = False
            self.on_kill()

    def freeze(self, seconds: float) -> None:
        """Let nothing of it run for so long; then everything that came meanwhile, in the order in which it came."""
        if self.alive and not self.frozen:
            self.frozen = True
            self.loop.call_later(seconds, self._thaw, context=self.loop.outside)

    def _thaw(self) -> None:
        self.frozen = False
        self.loop.thawed_at = self.loop.now
        self.loop.ready.extend(self.backlog)
        self.backlog.clear()


class Handle:
    """A callback that is due, or will be."""

    __slots__ = ("args", "callback", "context", "due", "is_cancelled", "owner")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None, due: float) -> None:
        self.callback = callback
        self.args = args
        # An empty context is falsy.
        self.context = copy_context() if context is None else context
        self.owner = self.context.get(OWNER)
        self.due = due
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.due


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address, so that a schedule replays exactly."""

    def __init__(self, work: Coroutine[Any, Any, Any], loop: VirtualLoop, context: Context | None) -> None:
        loop.born += 1
        self.number = loop.born
        self.owner = OWNER.get() if context is None else context.get(OWNER)
        super().__init__(work, loop=loop, context=context)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop of one schedule."""

    def __init__(self) -> None:
        self.now = 0.0
        self.thawed_at = 0.0
        self.born = 0
        self.ready: deque[Handle] = deque()
        self.outside = copy_context()
        self.errors: list[str] = []
        self._timers: list[tuple[float, int, Handle]] = []
        self._serial = 0
        self._tasks: list[NumberedTask] = []
        self._ending = False

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run everything until `work` has ended, then end all tasks.

        Raises:
            StalledError: when nothing can happen any more.
            Exception: what `work`, or a callback that belongs to no process, raised.
        """
        asyncio.events._set_running_loop(self)
        try:
            driver = self.outside.run(self.create_task, work)
            self._run(driver.done)
            driver.result()
        finally:
            self._end_all()
            asyncio.events._set_running_loop(None)

    def _run(self, done: Callable[[], bool]) -> None:
        ready, timers = self.ready, self._timers
        while not done():
            if not ready:
                if not timers:
                    raise StalledError
                self.now = max(self.now, timers[0][0])
            while timers and timers[0][0] <= self.now:
                ready.append(heappop(timers)[2])
            for _ in range(len(ready)):
                self._step(ready.popleft())

    def _step(self, handle: Handle) -> None:
        if handle.is_cancelled:
            return
        owner = handle.owner
        if owner is not None and not self._may_run(owner, handle):
            return
        try:
            handle.context.run(handle.callback, *handle.args)
        except Exception as error:
            if owner is None:
                raise
            # asyncio would log it and go on; nothing of ours may rely on that.
            self.errors.append(f"a callback of {owner.name} failed: {error!r}")

    def _may_run(self, owner: Process, handle: Handle) -> bool:
        if not owner.alive or owner.frozen:
            # What would have run in a killed process is kept only to be ended with the schedule.
            owner.backlog.append(handle)
            return False
        owner.steps += 1
        if owner.steps == owner.kill_at:
            owner.kill()
        elif owner.steps == owner.freeze_at:
            owner.freeze(owner.freeze_seconds)
        else:
            return True
        owner.backlog.append(handle)
        return False

    def _end_all(self) -> None:
        """Cancel every task there ever was, those of killed processes too, so that no coroutine is left half way."""
        self._ending = True
        self._timers.clear()
        for _ in range(LAST_ROUNDS):
            left = [task for task in self._tasks if not task.done()]
            for task in left:
                task.cancel()
                if task.owner is not None:
                    self.ready.extend(task.owner.backlog)
                    task.owner.backlog.clear()
            if not left and not self.ready:
                return
            self._drain()

    def _drain(self) -> None:
        for _ in range(MAX_LAST_STEPS):
            if not self.ready:
                break
            handle = self.ready.popleft()
            # The schedule is over; this is only the cleaning.
            with suppress(Exception):
                handle.context.run(handle.callback, *handle.args)
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()

    # -- what asyncio needs of a loop -------------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]  # noqa: ANN401
        handle = Handle(callback, args, context, self.now)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]  # noqa: ANN401
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]  # noqa: ANN401
        handle = Handle(callback, args, context, when)
        if not self._ending:
            self._serial += 1
            heappush(self._timers, (when, self._serial, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None, **_: Any) -> NumberedTask:  # noqa: ANN401, ARG002
        task = NumberedTask(coro, self, context)
        self._tasks.append(task)
        if self._ending:
            task.cancel()
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Ignore exceptions that asyncio reports: those that matter are in the log."""


def settle(future: asyncio.Future[Any], result: Any) -> None:  # noqa: ANN401 whatever the future is for
    """Set the result of a future, unless its waiter has gone."""
    if not future.done():
        future.set_result(result)


async def pause(seconds: float) -> None:
    """Wait in virtual time."""
    loop = asyncio.get_running_loop()
    reached = loop.create_future()
    loop.call_later(seconds, settle, reached, None)
    await reached
