"""The leads of a run over HTTP: list, look, cancel one, resolve one that stays unknown, export all.

On the road of a call: beside it; what became of each lead is read here.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from aiohttp import web as http
from pydantic import Field

from dialer.messages import JOB_ID_MAX, CallChanged, CommandType
from dialer.model import JobStatus, Role
from sql.resolutions.resolutions import Resolution
from web.access.auth import principal
from web.api.runs import DEFAULT_PAGE, MAX_PAGE, run_of, statuses_of
from web.api.serializers import attempt_json, job_json
from web.operations.commands import missing_job, missing_run, request_id, submit
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input, body_of, id_of, query_of, storable

if TYPE_CHECKING:
    from sql.jobs.jobs import Job
    from web.access.auth import Principal

routes = http.RouteTableDef()

MAX_OUTCOME_CHARACTERS: Final = 32
POSITION_MAX: Final = 2**31 - 1
COLUMNS: Final = (
    "job_id", "lead_id", "phone", "name", "status", "outcome", "attempts", "twilio_call_sid", "started_at", "ended_at", "error",
)  # fmt: skip
EXPORT_BYTES: Final = 64 * 1024
# A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection).
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
MARK: Final = b"\xef\xbb\xbf"


class JobsQuery(Input):
    """Which jobs to list; `status` may name several, with commas, `cursor` is the last answer's `next_cursor`."""

    status: str | None = None
    outcome: Annotated[str, Field(max_length=MAX_OUTCOME_CHARACTERS)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=1, le=POSITION_MAX)] | None = None


class ExportQuery(Input):
    """`mark` puts a byte order mark in front, without which Excel does not read UTF-8."""

    mark: bool = False


class HangUp(Input):
    """How a job is cancelled."""

    hang_up: bool = False


class Resolve(Input):
    """A person's word on an attempt that stays unknown."""

    as_: Literal["over", "not_placed"] = Field(alias="as")


@routes.get("/api/outbound/runs/{run_id}/jobs")
async def page(request: http.Request) -> http.Response:
    """List the jobs of a run in the order they are dialled."""
    who = principal(request)
    run = await run_of(request, who)
    query = query_of(request, JobsQuery)
    if query.outcome is not None and not storable(query.outcome):
        raise errors.wrong_field(name="outcome", why=Text(msgid("must be text")))
    jobs = await request.app[keys.JOBS].page(
        who.business_id,
        run.run_id,
        statuses=statuses_of(query.status, JobStatus),
        outcome=query.outcome,
        after=query.cursor or 0,
        limit=query.limit + 1,
    )
    shown = jobs[: query.limit]
    next_cursor = str(shown[-1].position) if len(jobs) > query.limit else None
    return http.json_response({"items": [job_json(job) for job in shown], "next_cursor": next_cursor})


@routes.get("/api/outbound/runs/{run_id}/jobs/{job_id}")
async def show(request: http.Request) -> http.Response:
    """Show one job with its attempts and what was received of each."""
    who = principal(request)
    run_id, job = await _job_of(request, who)
    attempts = await request.app[keys.JOBS].attempts(who.business_id, run_id, job.job_id)
    found = {**job_json(job), "run_id": run_id, "attempt_count": job.attempts, "attempts": [attempt_json(attempt) for attempt in attempts]}
    return http.json_response(found)


@routes.post("/api/outbound/runs/{run_id}/jobs/{job_id}/cancel")
async def cancel(request: http.Request) -> http.Response:
    """Cancel one lead not yet dialled; with `hang_up` end its call."""
    principal(request, Role.OPERATOR)
    asked = await body_of(request, HangUp)
    run_id, job_id = id_of(request, "run_id"), id_of(request, "job_id", JOB_ID_MAX)
    answer = await submit(request, CommandType.CANCEL_JOB, run_id, job_id=job_id, hang_up=asked.hang_up)
    return http.json_response({"job_id": answer.job_id, "status": answer.job_status, "in_progress": answer.in_progress})


@routes.post("/api/outbound/runs/{run_id}/jobs/{job_id}/resolve")
async def resolve(request: http.Request) -> http.Response:
    """Believe a person that the newest attempt, which stays unknown, is over or was never placed."""
    who = principal(request, Role.OPERATOR)
    run_id, job_id = id_of(request, "run_id"), id_of(request, "job_id", JOB_ID_MAX)
    asked = await body_of(request, Resolve)
    resolution = Resolution(who.business_id, run_id, job_id, asked.as_, who.actor, request_id(request))
    answer = await request.app[keys.RESOLUTIONS].resolve(resolution)
    if answer["code"] == "id_reused":
        raise errors.idempotency_conflict()
    if answer["code"] == "invalid_state":
        raise errors.invalid_state()
    if answer["code"] == "busy":
        raise errors.busy()
    if answer["code"] == "not_found":
        raise await _missing(request, who, run_id, job_id)
    request.app[keys.RELAY].kick()
    hint = CallChanged(who.business_id, run_id, job_id, answer["attempt_id"], answer["attempt_state"])
    request.app[keys.OWNER_HINTS].send(answer["partition"], hint)
    names = ("job_id", "run_id", "status", "outcome", "attempt_state", "in_progress")
    return http.json_response({name: answer[name] for name in names})


@routes.get("/api/outbound/runs/{run_id}/export.csv")
async def export(request: http.Request) -> http.StreamResponse:
    """Send every lead with its outcome, as it is read."""
    who = principal(request)
    run = await run_of(request, who)
    mark = query_of(request, ExportQuery).mark
    name = f'attachment; filename="run-{run.run_id}.csv"'
    response = http.StreamResponse(headers={"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": name})
    await response.prepare(request)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    await response.write(MARK if mark else b"")
    async for job in request.app[keys.JOBS].export(who.business_id, run.run_id):
        writer.writerow(_cells(job))
        if text.tell() >= EXPORT_BYTES:
            await response.write(_taken(text))
    await response.write(_taken(text))
    await response.write_eof()
    return response


def _cells(job: Job) -> list[Any]:
    cells = job_json(job)
    return [_plain(cells[name]) if name in {"name", "error"} else cells[name] for name in COLUMNS]


def _plain(cell: str | None) -> str | None:
    return f"'{cell}" if cell and cell.startswith(FORMULA) else cell


def _taken(text: io.StringIO) -> bytes:
    found = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return found


async def _job_of(request: http.Request, who: Principal) -> tuple[int, Job]:
    run_id, job_id = id_of(request, "run_id"), id_of(request, "job_id", JOB_ID_MAX)
    job = await request.app[keys.JOBS].get(who.business_id, run_id, job_id)
    if job is None:
        raise await _missing(request, who, run_id, job_id)
    return run_id, job


async def _missing(request: http.Request, who: Principal, run_id: int, job_id: int) -> Exception:
    """Both may be another business's; the security log hears of either, the asker of neither."""
    await missing_job(request, who, job_id)
    return await missing_run(request, who, run_id)
