"""How the calls of a run have ended, counted once for all who look at it, and not again within a second unless the run has changed.

A count takes time by the number of leads, and every window that shows a run asks for it after every call. The counters in the row of the
run change with every call that begins or ends; the row is read for each request in any case.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from web.server.shared_read import SharedRead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from sql.call_history.call_history import CallCount, CallHistory
    from sql.reports.reports import OutcomeCounts, Reports
    from sql.runs.runs import Run

SHARED_SECONDS: Final = 1.0
# Of runs that somebody looks at now.
KEPT_RUNS: Final = 1_000

T = TypeVar("T")


class ResultCounts:
    """The counts of all runs, by their rows."""

    def __init__(self, reports: Reports, history: CallHistory) -> None:
        """Count with these."""
        self._reports = reports
        self._history = history
        self._outcomes: _CountReads[OutcomeCounts] = _CountReads()
        self._calls: _CountReads[list[CallCount]] = _CountReads()

    async def outcomes(self, run: Run) -> OutcomeCounts:
        """How many of its leads have each last outcome, or none yet.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        return await self._outcomes.of(run, None, lambda: self._reports.outcomes(run.business_id, run.run_id))

    async def calls(self, run: Run, *, since: datetime, until: datetime, seconds: float) -> list[CallCount]:
        """Its calls by stretches of so many seconds, counted from `since`; `until` is in the future or after its last call.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """

        def read() -> Awaitable[list[CallCount]]:
            return self._history.counted(run.business_id, run.run_id, since=since, until=until, seconds=seconds)

        return await self._calls.of(run, (since, seconds), read)


class _CountReads(Generic[T]):
    """One kind of count, of the runs that were looked at last."""

    def __init__(self) -> None:
        self._reads: OrderedDict[tuple[int, int], tuple[Run, object, SharedRead[T]]] = OrderedDict()

    async def of(self, run: Run, stretch: object, read: Callable[[], Awaitable[T]]) -> T:
        key = run.business_id, run.run_id
        kept = self._reads.pop(key, None)
        if kept is None or kept[:2] != (run, stretch):
            kept = run, stretch, SharedRead(read)
        self._reads[key] = kept
        if len(self._reads) > KEPT_RUNS:
            self._reads.popitem(last=False)
        return await kept[2].recent(SHARED_SECONDS)
