"""Reads the runs of a business: one by its id, the list, and the audit log of a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from dialer.messages import CommandType, RunChanged
from dialer.model import RunStatus
from sql.audit.audit import Audit
from web.operations.paging import page_of, start_below
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import id_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aiohttp import web as http

    from sql.audit.audit import AuditEntry
    from sql.businesses.businesses import Business
    from sql.runs.runs import Run
    from web.access.auth import Principal
    from web.server.errors import ApiError

log = logging.getLogger(__name__)

NOT_IN_STATE: Final = msgid("The campaign is {state}: this is not possible now.")
# Of a run that is pending the state does not say why: it may still be filled.
STATES: Final = {
    "running": msgid("running"),
    "paused": msgid("paused"),
    "completed": msgid("completed"),
    "cancelled": msgid("cancelled"),
    "stopped": msgid("stopped"),
    "failed": msgid("over (it has failed)"),
    "being cancelled": msgid("being cancelled"),
}


async def requested_run(request: http.Request, principal: Principal) -> Run:
    """The run whose id is in the path.

    Raises:
        ApiError: 404, when this business has no such run.
    """
    run_id = id_of(request, "run_id")
    run = await request.app[keys.RUNS].get(principal.business_id, run_id)
    if run is None:
        raise await run_not_found(request, principal, run_id)
    return run


async def list_runs(
    request: http.Request, principal: Principal, *, statuses: Sequence[str] | None, before: int | None, limit: int
) -> tuple[list[Run], bool]:
    """At most `limit` runs with an id below `before`, the newest first, and whether there are older ones."""
    runs = await request.app[keys.RUNS].page(principal.business_id, statuses=statuses, before=before, limit=limit + 1)
    return page_of(runs, limit)


async def some_runs(request: http.Request, principal: Principal, run_ids: Collection[int | None]) -> dict[int, Run]:
    """Those of these runs that the business has, by id: one that has been deleted is missing."""
    wanted = [run_id for run_id in run_ids if run_id is not None]
    return {run.run_id: run for run in (await request.app[keys.RUNS].some(principal.business_id, wanted) if wanted else ())}


async def start_of_previous_runs(
    request: http.Request, principal: Principal, *, statuses: Sequence[str] | None, before: int | None, limit: int
) -> int | None:
    """The id below which the page of newer runs begins; None when there are no newer ones."""
    if before is None:
        return None
    found = await request.app[keys.RUNS].ids_from(principal.business_id, statuses=statuses, start=before, limit=limit + 1)
    return start_below(found, limit)


def announce_run(request: http.Request, business: Business, run_id: int, status: str) -> None:
    """Publish the events of a change, and send the owner of a running run a hint to claim."""
    request.app[keys.RELAY].kick()
    if status == RunStatus.RUNNING:
        request.app[keys.OWNER_HINTS].send(business.partition, RunChanged(business.business_id, run_id, CommandType.START))


async def audit_of_run(request: http.Request, principal: Principal, run_id: int, *, limit: int) -> list[AuditEntry]:
    """The newest `limit` entries of the audit log about this run, the newest first."""
    return await Audit(request.app[keys.POOL]).of_run(principal.business_id, run_id, limit=limit)


async def refused_in_state(app: http.Application, business_id: int, run_id: int) -> ApiError:
    """A 409 that names the state of this run, where the state says enough."""
    run = await app[keys.RUNS].get(business_id, run_id)
    state = ("being cancelled" if run.cancel_requested and not run.status.ended else str(run.status)) if run else ""
    return errors.invalid_state(Text(NOT_IN_STATE, {"state": Text(STATES[state])}) if state in STATES else None)


async def run_not_found(request: http.Request, principal: Principal, run_id: int) -> ApiError:
    """A 404 for this run; when it belongs to another business, the security log gets an entry."""
    owner = await request.app[keys.RUNS].foreign(principal.business_id, run_id)
    if owner is not None:
        warn_foreign(principal, "run", run_id, owner)
    return errors.not_found()


def warn_foreign(principal: Principal, kind: str, number: int, owner: int) -> None:
    """Log that a request named a row of another business."""
    log.warning("[SECURITY] %s of business %d asked for %s %d of business %d", principal.actor, principal.business_id, kind, number, owner)


def is_live(run: Run) -> bool:
    """True while the run or its counters can still change: it has not ended, or some of its calls are in progress."""
    return not run.status.ended or run.in_progress > 0
