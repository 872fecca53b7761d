"""Works in the background, each task a duty of its own: updates jobs of cancelled runs, closes finished runs, deletes what has expired.

A locked row, or a run that cannot be handled, is postponed and delays no other.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from actors.backoff import Backoff
from dialer.concurrency.loop import Loop
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.services import Services

REWRITE_PAUSE_SECONDS = 1.0
SWEEP_PAUSE_SECONDS = 10.0
MAX_RUNS = 100
CHUNK_ROWS = 1_000
DELIVERIES_PAUSE_SECONDS = 60.0
# Of a webhook: the newest, whatever their state.
MAX_DELIVERIES = 100_000
# Some tens of milliseconds each, so that no other statement waits long for the rows or the disk.
MAX_DELETED = 2_000
FIRST_POSTPONED_SECONDS = 1.0
LONGEST_POSTPONED_SECONDS = 60.0

log = logging.getLogger(__name__)


class JobRewriter:
    """Writes the end of cancelled and stopped runs on their job rows: a chunk of each run in turn."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        self._services = services
        self._backoff = Backoff(services.clock, first_seconds=FIRST_POSTPONED_SECONDS, longest_seconds=LONGEST_POSTPONED_SECONDS)
        # The next job row of each run.
        self._positions: dict[int, int] = {}
        self.loop = Loop("job rewriter", self._rewrite, pause=REWRITE_PAUSE_SECONDS)

    async def _rewrite(self) -> None:
        """Rewrite a chunk of one run of each business, again until all runs are finished; runs with skipped rows come again later."""
        while partitions := list(self._services.ownership.epochs):
            runs = await self._services.runs.to_rewrite(partitions, MAX_RUNS, self._backoff.postponed())
            self._positions = {run_id: self._positions.get(run_id, 1) for _, run_id in runs}
            for business_id, run_id in runs:
                if not self.loop.closed:
                    await self._rewrite_chunk(business_id, run_id)
            if self.loop.closed or not self._positions:
                return

    async def _rewrite_chunk(self, business_id: int, run_id: int) -> None:
        following = None
        try:
            following = await self._services.runs.rewrite(business_id, run_id, self._positions[run_id], CHUNK_ROWS)
        except DatabaseUnavailableError as error:
            log.warning("job rows of run %d are postponed: %s", run_id, type(error).__name__)
        except Exception:
            log.exception("job rows of run %d cannot be rewritten", run_id)
        if following is None:
            # Finished, or to be retried later: a finished run is not listed again.
            self._backoff.postpone(run_id)
            del self._positions[run_id]
        else:
            self._positions[run_id] = following


class RunCloser:
    """The safety net under the end of runs: closes finished runs that are still marked running."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        self._services = services
        self._backoff = Backoff(services.clock, first_seconds=FIRST_POSTPONED_SECONDS, longest_seconds=LONGEST_POSTPONED_SECONDS)
        self.loop = Loop("run closer", self._close_runs, pause=SWEEP_PAUSE_SECONDS)

    async def _close_runs(self) -> None:
        partitions = list(self._services.ownership.epochs)
        runs = await self._services.runs.to_end(partitions, MAX_RUNS, self._backoff.postponed()) if partitions else []
        for business_id, run_id in runs:
            self._backoff.postpone(run_id)
            try:
                if await self._services.runs.end_if_done(business_id, run_id):
                    log.error("closed run %d, which had finished and was still marked running", run_id)
            except DatabaseUnavailableError as error:
                log.warning("closing run %d is postponed: %s", run_id, type(error).__name__)
            except Exception:
                log.exception("run %d cannot be closed", run_id)


class RetentionCleaner:
    """Deletes rows past their retention time, batch after batch until none is left."""

    def __init__(self, services: Services) -> None:
        """Every worker does this for the whole database."""
        self._services = services
        self.loop = Loop("retention cleaner", self._delete_expired, pause=SWEEP_PAUSE_SECONDS)

    async def _delete_expired(self) -> None:
        while not self.loop.closed and await self._services.commands.forget(MAX_DELETED) >= MAX_DELETED:
            pass


class RunRetention:
    """Deletes the runs that their businesses do not want to keep any longer, a part of each in turn."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        self._services = services
        self._backoff = Backoff(services.clock, first_seconds=FIRST_POSTPONED_SECONDS, longest_seconds=LONGEST_POSTPONED_SECONDS)
        self.loop = Loop("run retention", self._delete_old_runs, pause=SWEEP_PAUSE_SECONDS)

    async def _delete_old_runs(self) -> None:
        partitions = list(self._services.ownership.epochs)
        runs = await self._services.runs.to_delete(partitions, MAX_RUNS, self._backoff.postponed()) if partitions else []
        for _, run_id in runs:
            # A deleted run is not listed again; one that is left, with locked rows, lets others go first.
            self._backoff.postpone(run_id)
        while runs and not self.loop.closed:
            runs = [(business_id, run_id) for business_id, run_id in runs if await self._delete_part(business_id, run_id)]

    async def _delete_part(self, business_id: int, run_id: int) -> bool:
        """True while there may be more of it."""
        try:
            deleted = await self._services.runs.delete_part(business_id, run_id, CHUNK_ROWS)
        except DatabaseUnavailableError as error:
            log.warning("deleting run %d is postponed: %s", run_id, type(error).__name__)
        except Exception:
            log.exception("run %d cannot be deleted", run_id)
        else:
            log.info("deleted %d leads of run %d, which is past its retention time", deleted, run_id)
            return deleted == CHUNK_ROWS
        return False


class DeliveryCleaner:
    """Deletes old deliveries to webhooks, and gives up those that are too many."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        self._services = services
        self.loop = Loop("delivery cleaner", self.forget, pause=DELIVERIES_PAUSE_SECONDS)

    async def forget(self) -> None:
        """Batch after batch, until none is left.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        while not self.loop.closed and (partitions := list(self._services.ownership.epochs)):
            if await self._services.deliveries.forget(partitions, kept=MAX_DELIVERIES, limit=MAX_DELETED) < MAX_DELETED:
                return
