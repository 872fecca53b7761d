"""Carries out the operations on many leads: a chunk of one operation of each business in turn, so that none waits for another's.

A chunk and its count are one transaction in PostgreSQL: the next owner of the partition goes on where this worker stopped.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from actors.backoff import Backoff
from dialer.concurrency.loop import Loop
from dialer.messages import CommandType, RunChanged
from dialer.streams.client import RedisUnavailableError
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.services import Services
    from sql.bulk.bulk_operations import RunningOperation

PAUSE_SECONDS = 0.5
MAX_BUSINESSES = 100
# A few milliseconds, during which the run's row is locked.
CHUNK_LEADS = 200
FIRST_POSTPONED_SECONDS = 0.2
LONGEST_POSTPONED_SECONDS = 10.0

log = logging.getLogger(__name__)


class OperationRunner:
    """The operations of the businesses of one worker."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        self._services = services
        self._backoff = Backoff(services.clock, first_seconds=FIRST_POSTPONED_SECONDS, longest_seconds=LONGEST_POSTPONED_SECONDS)
        self.loop = Loop("bulk operations", self._run, pause=PAUSE_SECONDS)

    async def _run(self) -> None:
        while partitions := list(self._services.ownership.epochs):
            operations = await self._services.bulk_operations.running(partitions, MAX_BUSINESSES, self._backoff.postponed())
            for operation in operations:
                if not self.loop.closed:
                    await self._carry_out(operation)
            if self.loop.closed or not operations:
                return

    async def _carry_out(self, operation: RunningOperation) -> None:
        business_id, operation_id = operation.business_id, operation.operation_id
        try:
            carried_out = await self._services.bulk_operations.carry_out(business_id, operation_id, CHUNK_LEADS)
        except DatabaseUnavailableError as error:
            log.warning("operation %d is postponed: %s", operation_id, type(error).__name__)
            self._backoff.postpone(operation_id)
        except Exception:
            # It would fail again: a chunk is the same each time.
            log.exception("operation %d of business %d has failed", operation_id, business_id)
            await self._services.bulk_operations.fail(business_id, operation_id)
        else:
            await self._after_chunk(operation, carried_out=carried_out)

    async def _after_chunk(self, operation: RunningOperation, *, carried_out: bool) -> None:
        if not carried_out:
            self._backoff.postpone(operation.operation_id)
            return
        self._backoff.reset(operation.operation_id)
        self._services.relay.kick()
        # The owner tells the pages how the run stands now; a lost hint costs seconds.
        with suppress(RedisUnavailableError):
            hint = RunChanged(operation.business_id, operation.run_id, CommandType.CANCEL_JOB)
            await self._services.streams.send_hint(operation.partition, hint)
