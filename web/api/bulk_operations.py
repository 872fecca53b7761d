"""Operations on many leads of a run over HTTP: cancel them, call them again, call them never again; and how far one is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

from aiohttp import web as http
from pydantic import Field

from dialer.messages import JOB_ID_MAX
from dialer.model import JobStatus, Role
from sql.bulk.bulk_operations import BulkType
from sql.jobs.jobs import JobFilter
from sql.stored_text import storable
from web.access.auth import require_principal
from web.api.pagination import words_of
from web.api.replies import canonical_json
from web.operations.bulk_operations import begin_operation, requested_operation
from web.operations.job_filter import MAX_SEARCH_CHARACTERS, OUTCOME_WORDS, job_search, outcomes_of
from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input, body_of, id_of

routes = http.RouteTableDef()

MAX_JOB_IDS: Final = 5_000


class Leads(Input):
    """Which leads: those that fit all that is given, as in the list of leads; without anything all of the run."""

    status: str | None = None
    outcome: str | None = None
    search: Annotated[str, Field(max_length=MAX_SEARCH_CHARACTERS)] | None = None
    job_ids: Annotated[list[Annotated[int, Field(ge=1, le=JOB_ID_MAX)]], Field(max_length=MAX_JOB_IDS)] | None = None


@routes.post("/api/outbound/runs/{run_id}/jobs/cancel")
async def cancel(request: http.Request) -> http.Response:
    """Cancel those of these leads that are queued; the answer comes before it is done."""
    return await _begin(request, BulkType.CANCEL)


@routes.post("/api/outbound/runs/{run_id}/jobs/again")
async def again(request: http.Request) -> http.Response:
    """Make a run of those of these leads that have ended."""
    return await _begin(request, BulkType.AGAIN)


@routes.post("/api/outbound/runs/{run_id}/jobs/do-not-call")
async def do_not_call(request: http.Request) -> http.Response:
    """Put the numbers of these leads on the do-not-call list of the business."""
    return await _begin(request, BulkType.DO_NOT_CALL)


@routes.get("/api/operations/{operation_id}")
async def show(request: http.Request) -> http.Response:
    """Show how far an operation is."""
    principal = require_principal(request)
    operation = await requested_operation(request, principal, id_of(request, "operation_id", JOB_ID_MAX))
    return http.json_response(asdict(operation))


async def _begin(request: http.Request, kind: BulkType) -> http.Response:
    principal = require_principal(request, Role.OPERATOR)
    leads = await body_of(request, Leads)
    if leads.search is not None and not storable(leads.search):
        raise errors.wrong_field(name="search", why=Text(msgid("must be text")))
    statuses, outcomes = words_of("status", leads.status, JobStatus), words_of("outcome", leads.outcome, OUTCOME_WORDS)
    wanted = JobFilter(statuses, outcomes_of(outcomes), await job_search(request, principal, leads.search))
    operation_id = await begin_operation(request, kind, id_of(request, "run_id"), wanted, leads.job_ids)
    return canonical_json({"operation_id": operation_id}, status=202)
