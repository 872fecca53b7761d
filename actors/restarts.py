"""The supervisor of a worker's duties: restarts each long-lived task that fails.

A critical duty that keeps failing ends the worker, and another worker takes over. An isolated duty serves only some businesses, such as
the dispatcher of one account: it is restarted for ever, with growing pauses, and the rest of the worker goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dialer.clock import Clock
    from dialer.concurrency.tasks import Tasks

# More restarts than this within this time, and the worker gives up.
MAX_RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0
RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0

log = logging.getLogger(__name__)


class DutySupervisor:
    """The long-lived tasks of one worker."""

    def __init__(self, tasks: Tasks, clock: Clock, give_up: Callable[[], None], failed: Callable[[str], None] = lambda _: None) -> None:
        """They run among `tasks`; `failed` gets the name of each that fails, `give_up` is called when the worker cannot go on."""
        self._tasks = tasks
        self._clock = clock
        self._give_up = give_up
        self._failed = failed

    def run_critical(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a duty that the worker cannot do without, until it returns; give up when it fails six times within a minute."""
        self._tasks.spawn(self._run_critical(name, duty))

    def run_isolated(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a duty of some businesses until it returns; after failures it is restarted in 1 s, then 2 s, up to 30 s."""
        self._tasks.spawn(self._run_isolated(name, duty))

    async def _run_critical(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        failed_at: deque[float] = deque(maxlen=MAX_RESTARTS)
        while not await self._returned(name, duty):
            now = self._clock.boot()
            if len(failed_at) == MAX_RESTARTS and now - failed_at[0] < RESTART_WINDOW_SECONDS:
                log.error("the duty %s failed %d times within %.0f s: this worker stops", name, MAX_RESTARTS + 1, RESTART_WINDOW_SECONDS)
                self._give_up()
                return
            failed_at.append(now)
            await asyncio.sleep(RESTART_SECONDS)

    async def _run_isolated(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        pause, started_at = RESTART_SECONDS, self._clock.boot()
        while not await self._returned(name, duty):
            if self._clock.boot() - started_at > RESTART_WINDOW_SECONDS:
                pause = RESTART_SECONDS
            await asyncio.sleep(pause)
            pause, started_at = min(2 * pause, LONGEST_RESTART_SECONDS), self._clock.boot()

    async def _returned(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> bool:
        try:
            await duty()
        except Exception:
            self._failed(name)
            log.exception("the duty %s failed and will be restarted", name)
            return False
        return True
