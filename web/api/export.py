"""Exports the leads of a run, streamed while they are read: as CSV with codes and UTC for programs, as CSV and XLSX for people."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, Literal

from aiohttp import web as http
from pydantic import Field

from web.access.auth import require_principal
from web.api.jobs import JobsFilter, filter_of
from web.api.serializers import job_json
from web.intake.imports.import_request import XLSX
from web.intake.limiter import TenantLimiter
from web.operations.csv_cells import escaped
from web.operations.exports.file_names import attachment
from web.operations.exports.people_table import people_table
from web.operations.exports.workbook_file import written
from web.operations.runs import requested_run
from web.server import keys
from web.server.i18n import language, msgid
from web.server.inputs import KnownLanguage, query_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sql.jobs.jobs import Job, JobFilter
    from sql.runs.runs import Run
    from web.operations.exports.people_table import PeopleTable

routes = http.RouteTableDef()

# A slow reader keeps its place; the others of its business wait.
EXPORTS_AT_ONCE: Final = 8
EXPORTS_FOR_A_BUSINESS: Final = 2
BUSY: Final = msgid("Too many exports are running right now. Please try again shortly.")

COLUMNS: Final = (
    "job_id", "lead_id", "phone", "name", "status", "outcome", "attempts", "twilio_call_sid", "started_at", "ended_at", "error",
)  # fmt: skip
CHUNK_CHARACTERS: Final = 64 * 1024
FILE_BYTES: Final = 256 * 1024
FREE_TEXT: Final = frozenset({"name", "error"})
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def limiter() -> TenantLimiter:
    """The exports of one process."""
    return TenantLimiter(EXPORTS_AT_ONCE, EXPORTS_FOR_A_BUSINESS, busy=BUSY)


class ExportQuery(JobsFilter):
    """`mark` puts a byte order mark in front, without which Excel does not read UTF-8; for people in any case."""

    mark: bool = False
    for_: Annotated[Literal["programs", "people"], Field(alias="for")] = "programs"
    language: KnownLanguage | None = None


class WorkbookQuery(JobsFilter):
    """Which leads; the words are those of `language`, by default the reader's."""

    language: KnownLanguage | None = None


@routes.get("/api/outbound/runs/{run_id}/export.csv")
async def export(request: http.Request) -> http.StreamResponse:
    """Send the leads with their outcomes."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    query = query_of(request, ExportQuery)
    wanted = await filter_of(request, principal, query)
    async with request.app[keys.EXPORTS].hold(principal.business_id):
        if query.for_ == "programs":
            return await send_csv(request, f"run-{run.run_id}", COLUMNS, _rows(request, run, wanted), mark=query.mark)
        table = await people_table(request, run, query.language or language(request))
        return await send_csv(request, table.name, table.headings, people_rows(request, table, run, wanted), mark=True)


@routes.get("/api/outbound/runs/{run_id}/export.xlsx")
async def workbook(request: http.Request) -> http.StreamResponse:
    """Send the leads with their outcomes as a workbook."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    query = query_of(request, WorkbookQuery)
    wanted = await filter_of(request, principal, query)
    async with request.app[keys.EXPORTS].hold(principal.business_id):
        table = await people_table(request, run, query.language or language(request))
        jobs = request.app[keys.JOBS].export_for_people(run.business_id, run.run_id, wanted)
        async with written(table, jobs) as file:
            return await send_file(request, file, table.name)


async def send_csv(
    request: http.Request, name: str, columns: Sequence[str], rows: AsyncIterator[Sequence[Any]], *, mark: bool
) -> http.StreamResponse:
    """Send a CSV file called `name` while its rows are read; `mark` puts a byte order mark in front."""
    headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": attachment(f"{name}.csv")}
    response = http.StreamResponse(headers=headers)
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


async def send_file(request: http.Request, file: IO[bytes], name: str) -> http.StreamResponse:
    """Send a workbook called `name` piece by piece."""
    response = http.StreamResponse(headers={"Content-Type": XLSX, "Content-Disposition": attachment(f"{name}.xlsx")})
    # With it a browser shows how much of the file has arrived.
    response.content_length = await asyncio.to_thread(file.seek, 0, io.SEEK_END)
    await asyncio.to_thread(file.seek, 0)
    await response.prepare(request)
    while piece := await asyncio.to_thread(file.read, FILE_BYTES):
        await response.write(piece)
    await response.write_eof()
    return response


async def _rows(request: http.Request, run: Run, wanted: JobFilter) -> AsyncIterator[list[Any]]:
    async for job in request.app[keys.JOBS].export(run.business_id, run.run_id, wanted):
        yield _cells(job)


async def people_rows(
    request: http.Request, table: PeopleTable, run: Run, wanted: JobFilter, job_ids: Sequence[int] | None = None
) -> AsyncIterator[list[Any]]:
    """The rows of these leads in the CSV file for people; of `job_ids` only, if they are given."""
    async for jobs in request.app[keys.JOBS].export_for_people(run.business_id, run.run_id, wanted, job_ids):
        for row in await asyncio.to_thread(table.csv_rows, jobs):
            yield row


def _cells(job: Job) -> list[Any]:
    cells = job_json(job)
    return [escaped(cells[name]) if name in FREE_TEXT else cells[name] for name in COLUMNS]


def _drain(buffer: io.StringIO) -> bytes:
    chunk = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return chunk
