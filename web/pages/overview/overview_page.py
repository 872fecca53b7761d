"""The overview of a business: what is wrong first, then its lines and calls of today, its campaigns, and when people answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dialer.model import RunStatus
from web.access.auth import require_principal
from web.operations.reports.business_summary import business_summary, midnight
from web.operations.reports.waits_for import SHOWN_ELSEWHERE, WaitReason
from web.operations.runs import list_runs
from web.pages import frame
from web.pages.labels import is_calling, run_label
from web.pages.outcome_groups import PERSON
from web.pages.overview.answer_hours import answer_hours
from web.pages.run.results import results_of
from web.server import keys
from web.server.error_responses import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web as http

    from sql.jobs.jobs import Job
    from sql.runs.runs import Run
    from web.access.auth import Principal
    from web.pages.run.results import Results

# Beyond these a list of campaigns is a page of its own.
MAX_OPEN: Final = 12
MAX_ENDED: Final = 6
# Lines with a call that are drawn in the row of a campaign; its own page has all.
MAX_LANES: Final = 3
OPEN: Final = (RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.PENDING)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A campaign that is calling or waiting: its results, its calls that are placed or in progress, the oldest first.

    `waits` says why it waits, in the reader's language; empty when it does not, or when another part of the page says it.
    """

    run: Run
    results: Results
    waits: str = ""
    calls: Sequence[Job] = ()

    @property
    def lanes(self) -> Sequence[Job]:
        """The oldest of its calls, at most `MAX_LANES`."""
        return self.calls[:MAX_LANES]

    @property
    def is_calling(self) -> bool:
        """True while it places calls or has some on the line."""
        return is_calling(self.run, self.results.waits)

    @property
    def label(self) -> str:
        """Its status, as `labels.RUN_LABELS` names it."""
        return run_label(self.run, self.results.waits)


async def page(request: http.Request) -> http.Response:
    """The whole page."""
    principal = require_principal(request)
    values = {**await _values(request, principal), "hours": await answer_hours(request, principal)}
    return await frame.render(request, "overview.html", live=True, **values)


async def fragment(request: http.Request) -> http.Response:
    """What changes on it, for a page that is open."""
    return await frame.render(request, "overview_state.html", **await _values(request, require_principal(request)))


async def _values(request: http.Request, principal: Principal) -> dict[str, Any]:
    summary = await business_summary(request, principal)
    runs, more = await list_runs(request, principal, statuses=OPEN, before=None, limit=MAX_OPEN)
    calls = await _calls(request, principal) if summary.lines.in_use else {}
    told = {alarm.reason for alarm in summary.alarms}
    rows = [await _row(request, run, calls.get(run.run_id, ()), told) for run in runs]
    calling = [row for row in rows if row.is_calling]
    since = midnight(request.app[keys.CLOCK].now(), summary.lines.timezone)
    ended, _ = await list_runs(request, principal, statuses=[status for status in RunStatus if status.ended], before=None, limit=MAX_ENDED)
    over = sum(summary.outcomes.values())
    of_today = [run for run in ended if run.ended_at is not None and run.ended_at >= since]
    return {
        "summary": summary,
        "alarms": [(alarm, said(request, alarm.sentence)) for alarm in summary.alarms],
        "answered": round(PERSON.count(summary.outcomes) * 100 / over) if over else None,
        "calling": calling,
        # Those that have no row here count by their calls.
        "campaigns_calling": len(calling) + len(calls.keys() - {run.run_id for run in runs}),
        "waiting": [row for row in rows if not row.is_calling],
        "more": more,
        "is_of_today": bool(of_today),
        "ended": [RunRow(run, await results_of(request, run)) for run in of_today or ended],
    }


async def _calls(request: http.Request, principal: Principal) -> dict[int, list[Job]]:
    """The calls on the lines of the business, by campaign."""
    found: dict[int, list[Job]] = {}
    for run_id, job in await request.app[keys.JOBS].on_every_line(principal.business_id):
        found.setdefault(run_id, []).append(job)
    return found


async def _row(request: http.Request, run: Run, calls: Sequence[Job], told: set[str]) -> RunRow:
    """The row of a campaign; the reasons in `told` are said above all rows."""
    results = await results_of(request, run)
    waits = [wait for wait in results.waits if wait.reason not in SHOWN_ELSEWHERE | {WaitReason.STOPPED} | told]
    return RunRow(run, results, said(request, waits[0].sentence) if waits else "", calls)
