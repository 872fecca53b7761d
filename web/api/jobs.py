"""The leads of a run over HTTP: list, show, cancel one, resolve one whose call stays unknown."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from aiohttp import web as http
from pydantic import Field

from dialer.messages import CommandType
from dialer.model import JobStatus, Role
from web.access.auth import require_principal
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE, page_response, statuses_of
from web.api.serializers import attempt_json, job_json
from web.operations.commands import submit
from web.operations.jobs import attempts_of, job_ids, list_jobs, requested_job, resolve_job
from web.operations.runs import requested_run
from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input, body_of, query_of, storable

routes = http.RouteTableDef()

MAX_OUTCOME_CHARACTERS: Final = 32
POSITION_MAX: Final = 2**31 - 1
RESOLVED_FIELDS: Final = ("job_id", "run_id", "status", "outcome", "attempt_state", "in_progress")


class JobsQuery(Input):
    """Which jobs to list; `status` may name several, separated by commas, `cursor` is the `next_cursor` of the page before."""

    status: str | None = None
    outcome: Annotated[str, Field(max_length=MAX_OUTCOME_CHARACTERS)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=1, le=POSITION_MAX)] | None = None


class HangUp(Input):
    """How a job is cancelled."""

    hang_up: bool = False


class Resolve(Input):
    """A person's judgement of an attempt that stays unknown."""

    as_: Literal["over", "not_placed"] = Field(alias="as")


@routes.get("/api/outbound/runs/{run_id}/jobs")
async def index(request: http.Request) -> http.Response:
    """List the jobs of a run in the order they are dialled."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    query = query_of(request, JobsQuery)
    if query.outcome is not None and not storable(query.outcome):
        raise errors.wrong_field(name="outcome", why=Text(msgid("must be text")))
    statuses = statuses_of(query.status, JobStatus)
    jobs, more = await list_jobs(
        request, principal, run.run_id, statuses=statuses, outcome=query.outcome, after=query.cursor or 0, limit=query.limit
    )
    return page_response([job_json(job) for job in jobs], jobs[-1].position if more else None)


@routes.get("/api/outbound/runs/{run_id}/jobs/{job_id}")
async def detail(request: http.Request) -> http.Response:
    """Show one job with its attempts and their callbacks."""
    principal = require_principal(request)
    run_id, job = await requested_job(request, principal)
    attempts = await attempts_of(request, principal, run_id, job.job_id)
    body = {**job_json(job), "run_id": run_id, "attempt_count": job.attempts, "attempts": [attempt_json(attempt) for attempt in attempts]}
    return http.json_response(body)


@routes.post("/api/outbound/runs/{run_id}/jobs/{job_id}/cancel")
async def cancel(request: http.Request) -> http.Response:
    """Cancel one lead not yet dialled; with `hang_up` end its call."""
    require_principal(request, Role.OPERATOR)
    ending = await body_of(request, HangUp)
    run_id, job_id = job_ids(request)
    answer = await submit(request, CommandType.CANCEL_JOB, run_id, job_id=job_id, hang_up=ending.hang_up)
    return http.json_response({"job_id": answer.job_id, "status": answer.job_status, "in_progress": answer.in_progress})


@routes.post("/api/outbound/runs/{run_id}/jobs/{job_id}/resolve")
async def resolve(request: http.Request) -> http.Response:
    """Accept a person's judgement that the newest attempt, which stays unknown, is over or was never placed."""
    principal = require_principal(request, Role.OPERATOR)
    judgement = (await body_of(request, Resolve)).as_
    answer = await resolve_job(request, principal, judgement)
    return http.json_response({name: answer[name] for name in RESOLVED_FIELDS})
