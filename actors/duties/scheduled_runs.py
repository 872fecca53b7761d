"""Starts the runs whose time has come: each worker those of its partitions, by the command that a person would send.

The id of the command is made of the run and its time: two workers, or one that crashed after the start, start it once; a run whose time was
changed meanwhile is not started. When a worker dies, the next owner of its partitions finds the run still pending within seconds.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from actors import worker_spans
from actors.backoff import Backoff
from dialer.concurrency.loop import Loop
from dialer.messages import Command, CommandType, RunChanged
from dialer.streams.client import RedisUnavailableError
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.services import Services
    from sql.runs.runs import ScheduledRun

# A run that was scheduled a moment ago is found within this; between, the loop wakes at the next time that it knows.
POLL_SECONDS = 0.5
MAX_RUNS = 100
# Starts at once: each holds a connection, and claims need some too.
STARTS_AT_ONCE = 4
# Its row is locked, or the start was rejected.
FIRST_POSTPONED_SECONDS = 0.1
LONGEST_POSTPONED_SECONDS = 10.0
REQUESTED_BY = "schedule"

log = logging.getLogger(__name__)


class RunStarter:
    """The scheduled runs of one worker."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        self._services = services
        self._backoff = Backoff(services.clock, first_seconds=FIRST_POSTPONED_SECONDS, longest_seconds=LONGEST_POSTPONED_SECONDS)
        self._next_seconds = POLL_SECONDS
        self._slots = asyncio.Semaphore(STARTS_AT_ONCE)
        self.loop = Loop("scheduled runs", self._start_due, pause=lambda: self._next_seconds, retry_seconds=POLL_SECONDS)

    async def _start_due(self) -> None:
        partitions = list(self._services.ownership.epochs)
        runs = await self._services.runs.to_start(partitions, MAX_RUNS, self._backoff.postponed()) if partitions else []
        due = [run for run in runs if run.seconds <= 0]
        async with asyncio.TaskGroup() as starts:
            for run in due:
                starts.create_task(self._start(run))
        postponed = self._backoff.next_in()
        waiting = [run.seconds for run in runs if run.seconds > 0]
        # Starting took a while, and there may be more than one batch: ask again at once. What could not be started is postponed.
        self._next_seconds = 0.0 if due else min(POLL_SECONDS, *waiting, POLL_SECONDS if postponed is None else postponed)

    async def _start(self, run: ScheduledRun) -> None:
        async with self._slots:
            if self.loop.closed:
                return
            # Not again in the next batch, unless it is started.
            self._backoff.postpone(run.run_id)
            try:
                await self._send_start(run)
            except DatabaseUnavailableError as error:
                log.warning("the scheduled start of run %d is postponed: %s", run.run_id, type(error).__name__)
            except Exception:
                log.exception("run %d cannot be started at its time", run.run_id)

    async def _send_start(self, run: ScheduledRun) -> None:
        command_id = f"{REQUESTED_BY}:{run.run_id}:{run.at}"
        command = Command(run.business_id, command_id, CommandType.START, run.run_id, requested_by=REQUESTED_BY)
        began = self._services.clock.now()
        answer = await self._services.commands.start_due(command, run.at)
        if not answer.accepted:
            # Another session holds it, or it was started, cancelled or put off a moment ago: it is looked at again later.
            log.warning("the scheduled start of run %d was rejected: %s", run.run_id, answer.code)
            return
        worker_spans.scheduled_start(self._services, run.business_id, run.run_id, began)
        self._backoff.reset(run.run_id)
        self._services.relay.kick()
        if answer.partition is not None:
            # The owner polls too: a lost hint costs seconds.
            with suppress(RedisUnavailableError):
                await self._services.streams.send_hint(answer.partition, RunChanged(run.business_id, run.run_id, CommandType.START))
