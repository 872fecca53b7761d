"""The supervisor of a worker's duties: each long-lived task is begun again when it fails.

A duty of the whole worker that fails again and again ends the worker, and another takes over. One that serves some businesses only, the
gate of an account, never does: it is begun again after a pause that grows, and the others go on.

On the road of a call: above 3; the loops on the road run under it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from actors.tasks import Tasks
    from dialer.clock import Clock

# This often in this time, and the worker gives up.
MOST_RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0
RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0

log = logging.getLogger(__name__)


class DutySupervisor:
    """The long-lived tasks of one worker."""

    def __init__(self, tasks: Tasks, clock: Clock, give_up: Callable[[], None]) -> None:
        """They run among `tasks`; `give_up` is called when the worker cannot go on."""
        self._tasks = tasks
        self._clock = clock
        self._give_up = give_up

    def keep_up(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a duty of the whole worker until it returns; the worker gives up when it fails six times within a minute."""
        self._tasks.spawn(self._keep_up(name, duty))

    def keep_up_alone(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a duty of some businesses until it returns, whatever it does: begun again after 1 s, then 2 s, up to 30 s."""
        self._tasks.spawn(self._keep_up_alone(name, duty))

    async def _keep_up(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        failed_at: deque[float] = deque(maxlen=MOST_RESTARTS)
        while not await self._ended(name, duty):
            now = self._clock.boot()
            if len(failed_at) == MOST_RESTARTS and now - failed_at[0] < RESTART_WINDOW_SECONDS:
                self._give_up()
                return
            failed_at.append(now)
            await asyncio.sleep(RESTART_SECONDS)

    async def _keep_up_alone(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        pause, begun_at = RESTART_SECONDS, self._clock.boot()
        while not await self._ended(name, duty):
            if self._clock.boot() - begun_at > RESTART_WINDOW_SECONDS:
                pause = RESTART_SECONDS
            await asyncio.sleep(pause)
            pause, begun_at = min(2 * pause, LONGEST_RESTART_SECONDS), self._clock.boot()

    async def _ended(self, name: str, duty: Callable[[], Coroutine[None, None, None]]) -> bool:
        try:
            await duty()
        except Exception:
            log.exception("the duty %s failed, and is begun again", name)
            return False
        return True
