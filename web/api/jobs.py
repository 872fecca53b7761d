"""The leads of a run over HTTP: list, show, cancel one, resolve one whose call stays unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from aiohttp import web as http
from pydantic import Field

from dialer.messages import CommandType
from dialer.model import JobStatus, Role
from sql.jobs.jobs import JobFilter
from sql.stored_text import storable
from web.access.auth import require_principal
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE, page_response, words_of
from web.api.serializers import attempt_json, job_answer_json, why_json
from web.operations.commands import submit
from web.operations.job_filter import MAX_SEARCH_CHARACTERS, OUTCOME_WORDS, job_search, outcomes_of
from web.operations.jobs import attempts_of, job_ids, list_jobs, requested_job, resolve_job, start_of_previous_jobs
from web.operations.reports.why import why
from web.operations.runs import requested_run
from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input, body_of, query_of

if TYPE_CHECKING:
    from web.access.auth import Principal

routes = http.RouteTableDef()

POSITION_MAX: Final = 2**31 - 1
RESOLVED_FIELDS: Final = ("job_id", "run_id", "status", "outcome", "attempt_state", "in_progress")


class JobsFilter(Input):
    """Which jobs; `status` and `outcome` may name several, separated by commas."""

    status: str | None = None
    outcome: str | None = None
    search: Annotated[str, Field(max_length=MAX_SEARCH_CHARACTERS)] | None = None


class JobsQuery(JobsFilter):
    """Which jobs to list; `cursor` is that of a page beside this one."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=0, le=POSITION_MAX)] = 0


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
    wanted = await filter_of(request, principal, query)
    jobs, more = await list_jobs(request, principal, run.run_id, wanted, after=query.cursor, limit=query.limit)
    previous = await start_of_previous_jobs(request, principal, run.run_id, wanted, after=query.cursor, limit=query.limit)
    return page_response([job_answer_json(request, job) for job in jobs], following=jobs[-1].position if more else None, previous=previous)


@routes.get("/api/outbound/runs/{run_id}/jobs/{job_id}")
async def detail(request: http.Request) -> http.Response:
    """Show one job with its attempts and their callbacks, and why it was not called or is not yet."""
    principal = require_principal(request)
    run_id, job = await requested_job(request, principal)
    attempts = await attempts_of(request, principal, run_id, job.job_id)
    reasons = await why(request, principal.business_id, run_id, job.job_id)
    body = {
        **job_answer_json(request, job),
        "run_id": run_id,
        "attempt_count": job.attempts,
        "attempts": [attempt_json(request, attempt) for attempt in attempts],
        "why": [why_json(request, reason) for reason in reasons],
    }
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


async def filter_of(request: http.Request, principal: Principal, query: JobsFilter) -> JobFilter:
    """The filter that a query asks for.

    Raises:
        ApiError: 422.
    """
    if query.search is not None and not storable(query.search):
        raise errors.wrong_field(name="search", why=Text(msgid("must be text")))
    statuses, outcomes = words_of("status", query.status, JobStatus), words_of("outcome", query.outcome, OUTCOME_WORDS)
    return JobFilter(statuses, outcomes_of(outcomes), await job_search(request, principal, query.search))
