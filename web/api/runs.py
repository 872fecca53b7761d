"""The runs of a business over HTTP: load, list, look, start, pause, resume, cancel, stop.

On the road of a call: 1, where it begins. A run is a row in PostgreSQL first; then its owner is told to look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from aiohttp import web as http
from pydantic import Field

from dialer.messages import SERIAL_MAX, CommandType
from dialer.model import Role, RunStatus
from web.access.auth import principal
from web.api.serializers import moment, run_json, wait_json
from web.intake.importer import asked_of, load, refuse_other_types, upload
from web.operations.commands import canonical_json, missing_run, reply, submit
from web.operations.drain_wait import until_placed
from web.operations.waits_for import waits_for
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input, body_of, id_of, query_of

if TYPE_CHECKING:
    from enum import StrEnum

    from sql.commands.commands import Answer
    from sql.runs.runs import Run
    from web.access.auth import Principal

routes = http.RouteTableDef()

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 50
VERBS: Final = {"start": CommandType.START, "pause": CommandType.PAUSE, "resume": CommandType.RESUME}


class RunsQuery(Input):
    """Which runs to list; `status` may name several, with commas, `cursor` is the last answer's `next_cursor`."""

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
    """Load a run."""
    who = principal(request, Role.OPERATOR)
    refuse_other_types(request)
    async with upload(request, who.business_id) as body:
        return canonical_json(await load(request, who, await asked_of(request, body)), status=201)


@routes.get("/api/outbound/runs")
async def page(request: http.Request) -> http.Response:
    """List the runs of a business, the newest first."""
    who = principal(request)
    query = query_of(request, RunsQuery)
    runs = await request.app[keys.RUNS].page(
        who.business_id, statuses=statuses_of(query.status, RunStatus), before=query.cursor, limit=query.limit + 1
    )
    shown = runs[: query.limit]
    next_cursor = str(shown[-1].run_id) if len(runs) > query.limit else None
    return http.json_response({"items": [run_json(run) for run in shown], "next_cursor": next_cursor})


@routes.get("/api/outbound/runs/{run_id}")
async def show(request: http.Request) -> http.Response:
    """Show one run."""
    run = await run_of(request, principal(request))
    waits = await waits_for(request, run)
    away_since = next((wait.since for wait in waits if wait.reason == "provider_away"), None)
    waiting = {"waits_for": [wait_json(request, wait) for wait in waits], "provider_waited_for_since": moment(away_since)}
    return http.json_response({**run_json(run), **waiting})


@routes.post("/api/outbound/runs/{run_id}/{verb:start|pause|resume}")
async def change(request: http.Request) -> http.Response:
    """Start, pause or resume a run."""
    who = principal(request, Role.OPERATOR)
    await body_of(request, Nothing)
    answer = await submit(request, VERBS[request.match_info["verb"]], id_of(request, "run_id"))

    async def tell() -> dict[str, Any]:
        return run_json(await run_of(request, who))

    return await reply(request, answer, tell)


@routes.post("/api/outbound_calls/jobs/{job_id}/cancel")
async def cancel(request: http.Request) -> http.Response:
    """Cancel a run: the bulk job of the contract is a run."""
    who = principal(request, Role.OPERATOR)
    run_id = id_of(request, "job_id")
    asked = await body_of(request, Ending)
    answer = await submit(request, CommandType.CANCEL, run_id, hang_up=asked.hang_up, wait=asked.wait)
    found = {**_ended(run_id, answer), "cancel_requested": answer.cancel_requested}
    return await reply(request, answer, lambda: _waited(request, who, found, wait=asked.wait))


@routes.post("/api/outbound/stop-queue")
async def stop(request: http.Request) -> http.Response:
    """Stop a run at once."""
    who = principal(request, Role.OPERATOR)
    asked = await body_of(request, Stopping)
    answer = await submit(request, CommandType.STOP, asked.run_id, hang_up=asked.hang_up, wait=asked.wait)
    found = {**_ended(asked.run_id, answer), "cancelled_jobs": answer.cancelled_jobs}
    return await reply(request, answer, lambda: _waited(request, who, found, wait=asked.wait))


async def run_of(request: http.Request, who: Principal) -> Run:
    """The run the path names.

    Raises:
        ApiError: 404, when this business has none with this id.
    """
    run_id = id_of(request, "run_id")
    run = await request.app[keys.RUNS].get(who.business_id, run_id)
    if run is None:
        raise await missing_run(request, who, run_id)
    return run


def statuses_of(text: str | None, known: type[StrEnum]) -> list[str] | None:
    """The statuses in a query, or None for all.

    Raises:
        ApiError: 422, when one does not exist.
    """
    if text is None:
        return None
    asked = text.split(",")
    if not set(asked) <= set(known):
        raise errors.wrong_field(name="status", why=Text(msgid("must be one of {expected}"), {"expected": ", ".join(known)}))
    return asked


def _ended(run_id: int, answer: Answer) -> dict[str, Any]:
    return {
        "success": True,
        "run_id": run_id,
        "status": answer.status,
        "in_progress": answer.in_progress,
        "already_ended": answer.already_ended,
    }


async def _waited(request: http.Request, who: Principal, found: dict[str, Any], *, wait: bool) -> dict[str, Any]:
    if not wait:
        return found
    return {**found, "uncertain": await until_placed(request, who.business_id, found["run_id"])}
