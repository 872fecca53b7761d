"""The overview of a business: what is wrong first, then its lines and calls of today, its campaigns, and when people answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dialer.model import RunStatus
from web.access.auth import require_principal
from web.operations.reports.business_summary import business_summary, midnight
from web.operations.reports.waits_for import SHOWN_ELSEWHERE, WaitReason, waits_for
from web.operations.runs import list_runs
from web.pages import frame
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

    `waits` says why it waits, in the reader's language; empty when it does not.
    """

    run: Run
    results: Results
    waits: str
    calls: Sequence[Job] = ()

    @property
    def lanes(self) -> Sequence[Job]:
        """The oldest of its calls, at most `MAX_LANES`."""
        return self.calls[:MAX_LANES]

    @property
    def is_calling(self) -> bool:
        """True while it places calls."""
        return self.run.status is RunStatus.RUNNING


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
    calls = await _calls(request, principal) if any(run.in_progress for run in runs) else {}
    rows = [await _row(request, run, calls.get(run.run_id, ())) for run in runs]
    since = midnight(request.app[keys.CLOCK].now(), summary.lines.timezone)
    ended, _ = await list_runs(request, principal, statuses=[status for status in RunStatus if status.ended], before=None, limit=MAX_ENDED)
    over = sum(summary.outcomes.values())
    return {
        "summary": summary,
        "alarms": [(alarm, said(request, alarm.sentence)) for alarm in summary.alarms],
        "answered": round(PERSON.count(summary.outcomes) * 100 / over) if over else None,
        "calling": [row for row in rows if row.is_calling],
        "waiting": [row for row in rows if not row.is_calling],
        "more": more,
        "ended": [run for run in ended if run.ended_at is not None and run.ended_at >= since],
        "recent": ended,
    }


async def _calls(request: http.Request, principal: Principal) -> dict[int, list[Job]]:
    """The calls on the lines of the business, by campaign."""
    found: dict[int, list[Job]] = {}
    for run_id, job in await request.app[keys.JOBS].on_every_line(principal.business_id):
        found.setdefault(run_id, []).append(job)
    return found


async def _row(request: http.Request, run: Run, calls: Sequence[Job]) -> RunRow:
    waits = [wait for wait in await waits_for(request.app, run) if wait.reason not in SHOWN_ELSEWHERE | {WaitReason.STOPPED}]
    return RunRow(run, await results_of(request, run), said(request, waits[0].sentence) if waits else "", calls)
