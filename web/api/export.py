"""Exports the leads of a run as CSV, streamed while they are read."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web as http

from web.access.auth import require_principal
from web.api.serializers import job_json
from web.intake.limiter import TenantLimiter
from web.operations.csv_cells import escaped
from web.operations.runs import requested_run
from web.server import keys
from web.server.i18n import msgid
from web.server.inputs import Input, query_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sql.jobs.jobs import Job
    from sql.runs.runs import Run

routes = http.RouteTableDef()

# A slow reader keeps its place; the others of its business wait.
EXPORTS_AT_ONCE: Final = 8
EXPORTS_FOR_A_BUSINESS: Final = 2
BUSY: Final = msgid("Too many exports are running right now. Please try again shortly.")

COLUMNS: Final = (
    "job_id", "lead_id", "phone", "name", "status", "outcome", "attempts", "twilio_call_sid", "started_at", "ended_at", "error",
)  # fmt: skip
CHUNK_CHARACTERS: Final = 64 * 1024
FREE_TEXT: Final = frozenset({"name", "error"})
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def limiter() -> TenantLimiter:
    """The exports of one process."""
    return TenantLimiter(EXPORTS_AT_ONCE, EXPORTS_FOR_A_BUSINESS, busy=BUSY)


class ExportQuery(Input):
    """`mark` puts a byte order mark in front, without which Excel does not read UTF-8."""

    mark: bool = False


@routes.get("/api/outbound/runs/{run_id}/export.csv")
async def export(request: http.Request) -> http.StreamResponse:
    """Send every lead with its outcome."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    mark = query_of(request, ExportQuery).mark
    async with request.app[keys.EXPORTS].hold(principal.business_id):
        return await send_csv(request, f"run-{run.run_id}", COLUMNS, _rows(request, run), mark=mark)


async def send_csv(
    request: http.Request, name: str, columns: Sequence[str], rows: AsyncIterator[Sequence[Any]], *, mark: bool
) -> http.StreamResponse:
    """Send a CSV file called `name` while its rows are read; `mark` puts a byte order mark in front."""
    disposition = f'attachment; filename="{name}.csv"'
    response = http.StreamResponse(headers={"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": disposition})
    await response.prepare(request)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    await response.write(BYTE_ORDER_MARK if mark else b"")
    async for row in rows:
        writer.writerow(row)
        if buffer.tell() >= CHUNK_CHARACTERS:
            await response.write(_drain(buffer))
    await response.write(_drain(buffer))
    await response.write_eof()
    return response


async def _rows(request: http.Request, run: Run) -> AsyncIterator[list[Any]]:
    async for job in request.app[keys.JOBS].export(run.business_id, run.run_id):
        yield _cells(job)


def _cells(job: Job) -> list[Any]:
    cells = job_json(job)
    return [escaped(cells[name]) if name in FREE_TEXT else cells[name] for name in COLUMNS]


def _drain(buffer: io.StringIO) -> bytes:
    chunk = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return chunk
