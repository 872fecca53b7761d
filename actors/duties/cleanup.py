"""What is done in the background, each a duty of its own: the rows of cancelled runs, runs nobody ended, what is kept no longer.

One row that is locked, or one run that cannot be handled, waits aside and holds up none of the others.

On the road of a call: not on it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from actors.aside import Aside
from actors.rounds import PeriodicDuty
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.services import Services

REWRITE_ROUND_SECONDS = 1.0
SWEEP_SECONDS = 10.0
MAX_RUNS = 100
CHUNK_ROWS = 1_000
# Some tens of milliseconds each, so that nothing waits long for the rows or the disk.
MAX_FORGOTTEN = 2_000
REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 60.0

log = logging.getLogger(__name__)


class Rewriting(PeriodicDuty):
    """Lets the job rows of cancelled and stopped runs say so: a chunk of each run in turn."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        super().__init__("rewriting", REWRITE_ROUND_SECONDS, self._round)
        self._services = services
        self._aside = Aside(services.clock, first_seconds=REST_SECONDS, longest_seconds=LONGEST_REST_SECONDS)
        self._positions: dict[int, int] = {}

    async def _round(self) -> None:
        """A chunk of one run of each business that has some, until all are at their end; those with rows that were passed come again."""
        while mine := list(self._services.ownership.epochs):
            found = await self._services.runs.to_rewrite(mine, MAX_RUNS, self._aside.keys())
            self._positions = {run_id: self._positions.get(run_id, 1) for _, run_id in found}
            for business_id, run_id in found:
                if not self.closed:
                    await self._chunk(business_id, run_id)
            if self.closed or not self._positions:
                return

    async def _chunk(self, business_id: int, run_id: int) -> None:
        following = None
        try:
            following = await self._services.runs.rewrite(business_id, run_id, self._positions[run_id], CHUNK_ROWS)
        except DatabaseUnavailableError as error:
            log.warning("run %d is rewritten later: %s", run_id, type(error).__name__)
        except Exception:
            log.exception("run %d cannot be rewritten", run_id)
        if following is None:
            # Done, or to be looked at again later: a run that is done is asked for no more.
            self._aside.put(run_id)
            del self._positions[run_id]
        else:
            self._positions[run_id] = following


class Ending(PeriodicDuty):
    """The net under the end of runs: ends those that have nothing left, and that nobody ended."""

    def __init__(self, services: Services) -> None:
        """For the partitions of this worker."""
        super().__init__("ending", SWEEP_SECONDS, self._round)
        self._services = services
        self._aside = Aside(services.clock, first_seconds=REST_SECONDS, longest_seconds=LONGEST_REST_SECONDS)

    async def _round(self) -> None:
        mine = list(self._services.ownership.epochs)
        found = await self._services.runs.to_end(mine, MAX_RUNS, self._aside.keys()) if mine else []
        for business_id, run_id in found:
            self._aside.put(run_id)
            try:
                if await self._services.runs.end_if_done(business_id, run_id):
                    log.error("run %d had nothing left and was not ended: ended now", run_id)
            except DatabaseUnavailableError as error:
                log.warning("run %d is ended later: %s", run_id, type(error).__name__)
            except Exception:
                log.exception("run %d cannot be ended", run_id)


class Forgetting(PeriodicDuty):
    """Drops what is kept no longer, batch after batch until nothing of it is left."""

    def __init__(self, services: Services) -> None:
        """Every worker does this for the whole database."""
        super().__init__("forgetting", SWEEP_SECONDS, self._round)
        self._services = services

    async def _round(self) -> None:
        while not self.closed and await self._services.commands.forget(MAX_FORGOTTEN) >= MAX_FORGOTTEN:
            pass
