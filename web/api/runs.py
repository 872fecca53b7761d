"""The runs of a business over HTTP: create, list, show, start, pause, resume, cancel, stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from aiohttp import web as http
from pydantic import Field

from dialer.messages import SERIAL_MAX, CommandType
from dialer.model import Role, RunStatus
from web.access.auth import require_principal
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE, page_response, words_of
from web.api.replies import canonical_json, reply
from web.api.serializers import ended_json, run_answer_json, run_detail_json
from web.intake.importer import import_run
from web.intake.imports.import_request import imported
from web.operations.commands import submit
from web.operations.drain_wait import until_placed
from web.operations.reports.run_report import run_detail
from web.operations.runs import list_runs, requested_run, start_of_previous_runs
from web.server.inputs import Input, body_of, id_of, query_of

if TYPE_CHECKING:
    from web.access.auth import Principal

routes = http.RouteTableDef()

VERBS: Final = {"start": CommandType.START, "pause": CommandType.PAUSE, "resume": CommandType.RESUME}


class RunsQuery(Input):
    """Which runs to list; `status` may name several, separated by commas, `cursor` is the `next_cursor` of the page before."""

    status: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=1, le=SERIAL_MAX)] | None = None


class Nothing(Input):
    """An empty object."""


class Ending(Input):
    """How a run is cancelled."""

    hang_up: bool = False
    wait: bool = False


class Stopping(Ending):
    """Which run is stopped, and how."""

    run_id: Annotated[int, Field(ge=1, le=SERIAL_MAX)]


@routes.post("/api/outbound/runs")
async def create(request: http.Request) -> http.Response:
    """Create a run from a list of leads."""
    principal = require_principal(request, Role.OPERATOR)
    async with imported(request, principal.business_id) as wanted:
        return canonical_json(await import_run(request, principal, wanted), status=201)


@routes.get("/api/outbound/runs")
async def index(request: http.Request) -> http.Response:
    """List the runs of a business, the newest first."""
    principal = require_principal(request)
    query = query_of(request, RunsQuery)
    statuses = words_of("status", query.status, RunStatus)
    runs, more = await list_runs(request, principal, statuses=statuses, before=query.cursor, limit=query.limit)
    previous = await start_of_previous_runs(request, principal, statuses=statuses, before=query.cursor, limit=query.limit)
    return page_response([run_answer_json(request, run) for run in runs], following=runs[-1].run_id if more else None, previous=previous)


@routes.get("/api/outbound/runs/{run_id}")
async def detail(request: http.Request) -> http.Response:
    """Show one run: how its leads ended, why it waits, when it will end."""
    run = await requested_run(request, require_principal(request))
    detail = await run_detail(request, run)
    return http.json_response({**run_answer_json(request, run), **run_detail_json(request, detail)})


@routes.post("/api/outbound/runs/{run_id}/{verb:start|pause|resume}")
async def change_state(request: http.Request) -> http.Response:
    """Start, pause or resume a run."""
    principal = require_principal(request, Role.OPERATOR)
    await body_of(request, Nothing)
    answer = await submit(request, VERBS[request.match_info["verb"]], id_of(request, "run_id"))

    async def describe() -> dict[str, Any]:
        return run_answer_json(request, await requested_run(request, principal))

    return await reply(request, answer, describe)


@routes.post("/api/outbound_calls/jobs/{job_id}/cancel")
async def cancel(request: http.Request) -> http.Response:
    """Cancel a run: the bulk job of the contract is a run."""
    principal = require_principal(request, Role.OPERATOR)
    run_id = id_of(request, "job_id")
    ending = await body_of(request, Ending)
    answer = await submit(request, CommandType.CANCEL, run_id, hang_up=ending.hang_up, wait=ending.wait)
    body = ended_json(CommandType.CANCEL, run_id, answer)
    return await reply(request, answer, lambda: _after_wait(request, principal, body, wait=ending.wait))


@routes.post("/api/outbound/stop-queue")
async def stop(request: http.Request) -> http.Response:
    """Stop a run at once."""
    principal = require_principal(request, Role.OPERATOR)
    stopping = await body_of(request, Stopping)
    answer = await submit(request, CommandType.STOP, stopping.run_id, hang_up=stopping.hang_up, wait=stopping.wait)
    body = ended_json(CommandType.STOP, stopping.run_id, answer)
    return await reply(request, answer, lambda: _after_wait(request, principal, body, wait=stopping.wait))


async def _after_wait(request: http.Request, principal: Principal, body: dict[str, Any], *, wait: bool) -> dict[str, Any]:
    if not wait:
        return body
    return {**body, "uncertain": await until_placed(request.app, principal.business_id, body["run_id"])}
