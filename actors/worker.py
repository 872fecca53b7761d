"""The worker: starts its duties side by side, and stops them in an order in which nothing is lost.

No duty waits for another. To stop: no new leads, finish and record the POSTs in flight, give the partitions back, then the rest.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.duties.account_seals import AccountSeals
from actors.duties.calling_windows import WindowDuty
from actors.duties.cleanup import DeliveryCleaner, JobRewriter, RetentionCleaner, RunCloser, RunRetention
from actors.duties.command_decider import CommandDecider
from actors.duties.command_reader import CommandReader
from actors.duties.heartbeat import Heartbeat
from actors.duties.operation_runner import OperationRunner
from actors.duties.progress import ProgressPublisher
from actors.duties.scheduled_runs import RunStarter
from actors.duties.webhook_sender import WebhookSender
from actors.lease import Lease
from actors.restarts import DutySupervisor
from actors.supervisor.supervisor import BusinessSupervisor
from dialer.concurrency.tasks import Tasks
from dialer.messages import Event
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.services import Services

# A POST ends within its own deadline; this is that, plus time to record its result.
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
        self._duties = DutySupervisor(self._tasks, services.clock, self._give_up, services.metrics.count_failure)
        self._progress = ProgressPublisher(services)
        self._supervisor = BusinessSupervisor(services, self._tasks, self._duties, self._progress.mark_changed)
        self._lease = Lease(services, self._supervisor, name)
        decider = CommandDecider(services, self._tasks)
        reader = CommandReader(services, decider.loop.ring)
        self._loops = (
            reader.loop,
            decider.loop,
            Heartbeat(services, self._supervisor, name).loop,
            JobRewriter(services).loop,
            RunCloser(services).loop,
            RunStarter(services).loop,
            OperationRunner(services).loop,
            RetentionCleaner(services).loop,
            RunRetention(services).loop,
            WindowDuty(services).loop,
            AccountSeals(services).loop,
            WebhookSender(services, self._tasks).loop,
            DeliveryCleaner(services).loop,
        )
        self._show(reader)

    def _show(self, reader: CommandReader) -> None:
        show, ownership, supervisor = self._services.metrics.show, self._services.ownership, self._supervisor
        show("worker_lease_age_seconds", "Since the lease was renewed; it expires after 6 s.", lambda: self._lease.age_seconds)
        show("worker_partitions", "Partitions of this worker, of 256 in all.", lambda: len(ownership.epochs))
        show("worker_calls", "Calls that this worker places or follows.", lambda: supervisor.calls)
        show("worker_businesses_paced", "Businesses that wait for a permit of their account.", lambda: supervisor.paced[0])
        show("worker_longest_paced_seconds", "How long the first of them has been waiting.", lambda: supervisor.paced[1])
        show("worker_accounts_paused", "Accounts whose calls the provider does not take.", lambda: supervisor.accounts_paused)
        show("worker_command_stream_lag_seconds", "Since dialer:commands was read to its end.", lambda: reader.lag_seconds)

    @property
    def trouble(self) -> str:
        """Why this worker does not dial; "" when it does, or could."""
        return "it is stopping" if self._stopping.is_set() else self._lease.trouble

    async def start(self) -> None:
        """Start all duties, and publish it."""
        self._duties.run_critical("lease", self._lease.run)
        for loop in (*self._supervisor.critical_loops, *self._loops, self._progress.loop):
            self._duties.run_critical(loop.name, loop.run)
        for loop in self._supervisor.isolated_loops:
            self._duties.run_isolated(loop.name, loop.run)
        log.info("worker %s started", self._name)
        await self._publish("started")

    async def stop(self) -> None:
        """End all duties in order; calls in conversation go on, and the next owner adopts them."""
        self._supervisor.close()
        for loop in self._loops:
            loop.close()
        try:
            async with asyncio.timeout(LEAVE_SECONDS + FINISH_SECONDS):
                await self._lease.leave(LEAVE_SECONDS)
        except (DatabaseUnavailableError, TimeoutError) as error:
            log.warning("could not release partitions; the lease will expire: %s", type(error).__name__)
        except Exception:
            log.exception("could not release partitions; the lease will expire")
        self._progress.loop.close()
        await self._tasks.finish(FINISH_SECONDS)
        log.info("worker %s stopped", self._name)
        await self._publish("stopped")

    def _give_up(self) -> None:
        self.failed = True
        self._stopping.set()

    async def _publish(self, change: str) -> None:
        """Publish best effort: a worker works without it."""
        event = Event(f"worker.{change}", 0, at=self._services.clock.now(), data={"worker": self._name})
        try:
            await self._services.streams.publish([event])
        except Exception:
            log.exception("worker %s could not publish that it has %s", self._name, change)
