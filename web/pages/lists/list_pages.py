"""The load report of a campaign: what became of the lists that it was loaded from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sql.runs.load_reports import KINDS, ListReports
from web.access.auth import require_principal
from web.intake.imports.row_report import SENTENCES
from web.operations.exports.load_rows import KIND_LABELS, sentence_of
from web.operations.runs import requested_run
from web.pages import frame
from web.server import keys
from web.server.error_responses import said
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from aiohttp import web as http

PAGE_ROWS: Final = 100


async def report(request: http.Request) -> http.Response:
    """The rows that were left out, and those whose number was read as another."""
    run = await requested_run(request, require_principal(request))
    reports = ListReports(request.app[keys.POOL])
    chosen = request.query.get("kind", "")
    kind = chosen if chosen in KINDS else None
    after = optional_id(request.query.get("after", "")) or 0
    rows = await reports.page(run.business_id, run.run_id, kind, after=after, limit=PAGE_ROWS + 1)
    shown = rows[:PAGE_ROWS]
    return await frame.render(
        request,
        "lists/load_report.html",
        run=run,
        loads=await reports.of_run(run.business_id, run.run_id),
        kinds=KIND_LABELS,
        kind=kind or "",
        rows=[(row, said(request, sentence_of(row, SENTENCES))) for row in shown],
        after=after,
        following=shown[-1].place if len(rows) > PAGE_ROWS else 0,
    )
