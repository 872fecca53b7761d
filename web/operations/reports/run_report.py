"""The report on one run: how its leads ended, why it waits, when it will end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dialer.model import RunStatus
from web.operations.job_filter import OUTCOMES
from web.operations.reports.waits_for import WaitReason, business_report, waits_of
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aiohttp import web as http

    from sql.reports.reports import RunReport
    from sql.runs.runs import Run
    from web.operations.reports.waits_for import Wait

# The end of these is unknown.
UNKNOWN_END: Final = frozenset(
    {
        WaitReason.STOPPED,
        WaitReason.ACCOUNT,
        WaitReason.REGISTER_TOO_OLD,
        WaitReason.BUDGET,
        WaitReason.PAUSED,
        WaitReason.NO_WORKER,
        WaitReason.PARKED,
        WaitReason.PROVIDER_AWAY,
        WaitReason.SCHEDULED,
    }
)
LONGEST: Final = timedelta(days=365)
# An estimate is based on at least so many calls, or as many as are left; it never needs more than are looked at.
LEAST_CALLS: Final = 10
MOST_CALLS: Final = 100


@dataclass(frozen=True, slots=True)
class RunDetail:
    """`outcomes` has every outcome of the contract; `ends_at` is an estimate, None when it is not known.

    `not_called` counts the leads without an outcome, as sql/reports/reports.py does.
    """

    waits: list[Wait]
    outcomes: dict[str, int]
    ends_at: datetime | None
    not_called: dict[str, int]


async def run_detail(request: http.Request, run: Run) -> RunDetail:
    """The report on a run.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    report = await request.app[keys.REPORTS].of_run(run.business_id, run.run_id)
    business = await business_report(request.app, run.business_id)
    waits = await waits_of(request.app, run, report, business)
    ends_at = estimated_end(run, report, waits, lines=business.max_calls, now=business.now)
    counts = await request.app[keys.RESULT_COUNTS].outcomes(run)
    return RunDetail(waits, all_outcomes(counts.called), ends_at, counts.not_called)


def all_outcomes(found: dict[str, int]) -> dict[str, int]:
    """These counts, with 0 for each missing outcome."""
    return {outcome: found.get(outcome, 0) for outcome in OUTCOMES}


def estimated_end(run: Run, report: RunReport, waits: Sequence[Wait], *, lines: int, now: datetime) -> datetime | None:
    """When the last lead will have been called, if the next calls are as long as the last ones.

    The `lines` of the business are shared evenly with its other runs. None when the run is not running, too few of its calls have ended
    (is_enough), or it is stopped for an unknown time. Closing hours in between are not considered.
    """
    if run.status is not RunStatus.RUNNING or run.cancel_requested or report.call_seconds is None:
        return None
    if any(wait.reason in UNKNOWN_END for wait in waits):
        return None
    begins = max(now, min((until for until in report.leads_wait.values() if until), default=now))
    share = min(run.concurrency, max(lines / (report.other_runs + 1), 1))
    if not is_enough(report.calls_ended, at_once=share, left=run.queued + run.in_progress):
        return None
    seconds = (run.queued + run.in_progress / 2) * report.call_seconds / share
    return begins + timedelta(seconds=round(seconds)) if seconds < LONGEST.total_seconds() else None


def is_enough(ended: int, *, at_once: float, left: int) -> bool:
    """Whether the calls that have `ended` tell how long those that are `left` will take.

    The shortest calls end first: as many must have ended as are made `at_once`, and ten at least, but never more than are left or than a
    hundred.
    """
    return ended >= min(max(at_once, LEAST_CALLS), MOST_CALLS, left)
