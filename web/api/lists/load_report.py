"""The load report of a run over HTTP: in pages, and as a file with all rows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aiohttp import web as http
from pydantic import Field

from sql.runs.load_reports import REJECTED, ListReports
from web.access.auth import require_principal
from web.api.export import send_csv
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE
from web.intake.imports.row_report import SENTENCES
from web.operations.exports.file_names import file_name
from web.operations.exports.load_rows import csv_rows, headings, sentence_of
from web.operations.runs import requested_run
from web.server import keys
from web.server.error_responses import said
from web.server.i18n import language
from web.server.inputs import Input, KnownLanguage, query_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.runs.load_reports import ListSummary, ReportRow
    from sql.runs.runs import Run
    from web.server.i18n import Language

routes = http.RouteTableDef()

PLACE_MAX = 2**31 - 1


class ReportQuery(Input):
    """Which rows, and which page of them."""

    kind: Literal["rejected", "duplicate", "read_as"] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=0, le=PLACE_MAX)] = 0


class FileQuery(Input):
    """The language of the words, by default the reader's."""

    language: KnownLanguage | None = None


@routes.get("/api/outbound/runs/{run_id}/load-report")
async def index(request: http.Request) -> http.Response:
    """List the rows that were left out or whose number was adjusted."""
    run = await requested_run(request, require_principal(request))
    query = query_of(request, ReportQuery)
    loads = ListReports(request.app[keys.POOL])
    rows = await loads.page(run.business_id, run.run_id, query.kind, after=query.cursor, limit=query.limit + 1)
    before = (
        await loads.places_before(run.business_id, run.run_id, query.kind, until=query.cursor, limit=query.limit + 1)
        if query.cursor
        else []
    )
    shown = rows[: query.limit]
    following = str(shown[-1].place) if len(rows) > query.limit else None
    previous = (str(before[query.limit]) if len(before) > query.limit else "0") if before else None
    body = {
        "loads": [_load_json(load) for load in await loads.of_run(run.business_id, run.run_id)],
        "items": [_row_json(request, row) for row in shown],
        "next_cursor": following,
        "previous_cursor": previous,
    }
    return http.json_response(body)


@routes.get("/api/outbound/runs/{run_id}/load-report.csv")
async def download(request: http.Request) -> http.StreamResponse:
    """Send all rows as a file for people."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    chosen = query_of(request, FileQuery).language or language(request)
    async with request.app[keys.EXPORTS].hold(principal.business_id):
        name = f"{file_name(run.name, f'run-{run.run_id}')}-report"
        return await send_csv(request, name, headings(chosen), _rows(request, run, chosen), mark=True)


async def _rows(request: http.Request, run: Run, chosen: Language) -> AsyncIterator[list[Any]]:
    async for rows in ListReports(request.app[keys.POOL]).all_rows(run.business_id, run.run_id):
        for row in await asyncio.to_thread(csv_rows, rows, SENTENCES, chosen):
            yield row


def _load_json(load: ListSummary) -> dict[str, Any]:
    return {
        "load": load.number,
        "loaded_at": load.loaded_at.isoformat(),
        "loaded_by": load.loaded_by,
        "accepted": load.accepted,
        "rejected": load.rejected,
        "duplicates": load.duplicates,
    }


def _row_json(request: http.Request, row: ReportRow) -> dict[str, Any]:
    # The values of a reason are in its sentence.
    own = {"reason": row.reason} if row.kind == REJECTED else row.detail
    message = said(request, sentence_of(row, SENTENCES))
    return {"load": row.number, "row": row.row, "kind": row.kind, "lead_id": row.lead_id, "phone": row.phone, **own, "message": message}
