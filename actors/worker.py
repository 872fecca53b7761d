"""The worker: what runs in it, and how it ends.

It starts as duties side by side, none of which waits for another, and stops in the order in which nothing is lost: no new leads, POSTs in
progress finished and written, partitions given back, then the rest.

On the road of a call: above 3; it is the tree the supervisors hang on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.duties.cleanup import Ending, Forgetting, Rewriting
from actors.duties.command_decider import CommandDecider
from actors.duties.command_reader import CommandReader
from actors.duties.heartbeat import Heartbeat
from actors.duties.progress import ProgressPublisher
from actors.lease import Lease
from actors.restarts import DutySupervisor
from actors.supervisor.supervisor import BusinessSupervisor
from actors.tasks import Tasks
from dialer.messages import Event
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.rounds import PeriodicDuty
    from actors.services import Services

# A POST ends within its own deadline; this is that, and some time to write down what became of it.
LEAVE_SECONDS = 6.0
FINISH_SECONDS = 2.0

log = logging.getLogger(__name__)


class Worker:
    """One worker process, on the services it is given."""

    def __init__(self, services: Services, name: str, stopping: asyncio.Event | None = None) -> None:
        """`name` is what runs show as `locked_by_worker`; the worker sets `stopping` itself when it has `failed` and cannot go on."""
        self._services = services
        self._name = name
        self.failed = False
        self._stopping = stopping or asyncio.Event()
        self._tasks = Tasks()
        self._duties = DutySupervisor(self._tasks, services.clock, self._give_up)
        self._screens = ProgressPublisher(services)
        self.partitions = BusinessSupervisor(services, self._tasks, self._duties, self._screens.show)
        self._ownership = Lease(services, self.partitions, name)
        self._decider = CommandDecider(services, self._tasks)
        self._commands = CommandReader(services, self._decider.ring)
        self._rounds: tuple[PeriodicDuty, ...] = (
            Heartbeat(services, self.partitions, name),
            self.partitions.stalls,
            Rewriting(services),
            Ending(services),
            Forgetting(services),
        )

    async def start(self) -> None:
        """Begin all duties, and say so."""
        for name, duty in (
            ("ownership", self._ownership.run),
            ("hints", self.partitions.listen),
            ("poll", self.partitions.poll),
            ("commands", self._commands.run),
            ("inbox", self._decider.run),
            ("screens", self._screens.run),
            *((rounds.name, rounds.run) for rounds in self._rounds),
        ):
            self._duties.keep_up(name, duty)
        self._duties.keep_up_alone("live calls", self.partitions.live.run)
        self._duties.keep_up_alone("second calls", self.partitions.excess.run)
        log.info("worker %s started", self._name)
        await self._publish("started")

    async def stop(self) -> None:
        """End all duties in order; calls in conversation go on, and the next owner adopts them."""
        self.partitions.close()
        self._commands.close()
        self._decider.close()
        for rounds in self._rounds:
            rounds.close()
        try:
            async with asyncio.timeout(LEAVE_SECONDS + FINISH_SECONDS):
                await self._ownership.leave(LEAVE_SECONDS)
        except DatabaseUnavailableError as error:
            # The lease runs out by itself, and another worker takes over.
            log.warning("partitions could not be given back: %s", type(error).__name__)
        except Exception:
            log.exception("partitions could not be given back")
        self._screens.close()
        await self._tasks.finish(FINISH_SECONDS)
        log.info("worker %s stopped", self._name)
        await self._publish("stopped")

    def _give_up(self) -> None:
        self.failed = True
        self._stopping.set()

    async def _publish(self, change: str) -> None:
        """Best effort: a worker that cannot be heard works all the same."""
        event = Event(f"worker.{change}", 0, at=self._services.clock.now(), data={"worker": self._name})
        try:
            await self._services.streams.publish([event])
        except Exception:
            log.exception("worker %s could not publish that it has %s", self._name, change)
