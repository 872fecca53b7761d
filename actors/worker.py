"""The worker: what runs in it, and how it ends.

It starts as five duties side by side, and stops in the order in which nothing is lost: no new leads, POSTs in progress finished and
written, partitions given back, then the rest.

On the road of a call: above 3; it is the tree the supervisors hang on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from actors.commands import CommandReader
from actors.housekeeping import Housekeeping
from actors.ownership import Ownership
from actors.partition import Partitions
from actors.screens import Screens
from actors.tasks import Tasks
from dialer.messages import Event
from sql.pool import AWAY, LOCKED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from actors.ports import World

# A POST ends within its own deadline; this is that, and some time to write down what became of it.
LEAVE_SECONDS = 6.0
FINISH_SECONDS = 2.0
# A duty that fails begins again; this often in this time, and the worker gives up.
MOST_RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0
RESTART_SECONDS = 1.0

log = logging.getLogger(__name__)


class Worker:
    """One worker process, on the world it is given."""

    def __init__(self, world: World, name: str, stopping: asyncio.Event | None = None) -> None:
        """`name` is what runs show as `locked_by_worker`; the worker sets `stopping` itself when it has `failed` and cannot go on."""
        self._world = world
        self._name = name
        self.failed = False
        self._stopping = stopping or asyncio.Event()
        self._tasks = Tasks()
        self._screens = Screens(world)
        self.partitions = Partitions(world, self._tasks, self._screens.show)
        self._ownership = Ownership(world, self.partitions, name)
        self._commands = CommandReader(world)
        self._housekeeping = Housekeeping(world, name)

    async def start(self) -> None:
        """Begin all duties, and say so."""
        for duty in (
            self._ownership.run,
            self.partitions.listen,
            self.partitions.poll,
            self.partitions.live.run,
            self.partitions.excess.run,
            self._commands.run,
            self._screens.run,
            self._housekeeping.run,
        ):
            self._tasks.spawn(self._keep_up(duty))
        log.info("worker %s started", self._name)
        await self._say("started")

    async def stop(self) -> None:
        """End all duties in order; calls in conversation go on, and the next owner adopts them."""
        self.partitions.close()
        self._commands.close()
        self._housekeeping.close()
        try:
            async with asyncio.timeout(LEAVE_SECONDS + FINISH_SECONDS):
                await self._ownership.leave(LEAVE_SECONDS)
        except (TimeoutError, *AWAY, *LOCKED) as error:
            # The lease runs out by itself, and another worker takes over.
            log.warning("nothing could be given back: %s", type(error).__name__)
        self._screens.close()
        await self._tasks.finish(FINISH_SECONDS)
        log.info("worker %s stopped", self._name)
        await self._say("stopped")

    async def _keep_up(self, duty: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin a duty again when it fails; one that fails again and again ends this worker, and another takes over."""
        failed_at: deque[float] = deque(maxlen=MOST_RESTARTS)
        while True:
            try:
                return await duty()
            except Exception:
                log.exception("a duty of worker %s failed", self._name)
            now = self._world.clock.boot()
            if len(failed_at) == MOST_RESTARTS and now - failed_at[0] < RESTART_WINDOW_SECONDS:
                self.failed = True
                self._stopping.set()
                return None
            failed_at.append(now)
            await asyncio.sleep(RESTART_SECONDS)

    async def _say(self, word: str) -> None:
        await self._world.wire.publish([Event(f"worker.{word}", 0, at=self._world.clock.now(), data={"worker": self._name})])
