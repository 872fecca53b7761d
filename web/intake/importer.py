"""Imports a run: checks every row that was received, and writes the good ones in one transaction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dialer.messages import CommandType
from dialer.model import RunStatus
from sql.commands.requests import IdReusedError
from sql.runs.new_run import Request
from web.intake.imports.row_report import load_report
from web.intake.imports.script_numbers import check_script
from web.intake.readers.lead_file import RowRules
from web.operations.idempotency import request_id
from web.operations.runs import announce_run
from web.operations.settings.business import own_business
from web.operations.settings.run_fields import check_settings, new_run, unknown_variable, variables_of_new_run
from web.server import errors, keys
from web.server.error_responses import translated
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.tracing.request_spans import trace_command

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from web.access.auth import Principal
    from web.intake.imports.import_request import ImportRequest
    from web.intake.rows import CheckedRows


async def import_run(request: http.Request, principal: Principal, wanted: ImportRequest) -> dict[str, Any]:
    """Check the rows and write the run; return the reply of the contract.

    Raises:
        ApiError: 403, 409, 413, 422 or 503.
    """
    business = await own_business(request, principal)
    loosened = await check_settings(request, principal, business, wanted.settings)
    rows = await checked_for_new_run(wanted, business, loadable=True)
    found = report(request, rows)
    if not rows.count:
        raise no_leads(found)
    kept = await asyncio.to_thread(load_report, rows)
    new = new_run(principal, business, wanted.settings, loosened, rows.leads, kept)
    try:
        identity = Request(wanted.request_id or request_id(request), await asyncio.to_thread(wanted.digest), principal.actor, found)
        began = request.app[keys.CLOCK].now()
        answer, repeated = await request.app[keys.RUNS].create(new, identity)
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    if answer["status"] == RunStatus.RUNNING and not repeated:
        trace_command(request, CommandType.START, (business.business_id, answer["run_id"]), began)
    announce_run(request, business, answer["run_id"], answer["status"])
    return answer


async def checked(wanted: ImportRequest, business: Business, variables: frozenset[str], *, loadable: bool = False) -> CheckedRows:
    """The rows, each of them checked; `variables` are the keys of those that the script needs, `loadable` as for `checked_rows`.

    Raises:
        ApiError: 413 or 422, when they cannot be read.
    """
    rules = RowRules(business.region, business.timezone, variables, business.largest_lead_id)
    return await wanted.checked(rules, loadable=loadable)


async def checked_for_new_run(wanted: ImportRequest, business: Business, *, loadable: bool = False) -> CheckedRows:
    """The rows of a new run, each of them checked, after the numbers in its script; `loadable` as for `checked_rows`.

    Raises:
        ApiError: 413 or 422, when they cannot be read, no lead has a variable of the script, or a number in that is wrong.
    """
    check_script(business, wanted.settings.script)
    rows = await checked(wanted, business, variables_of_new_run(business, wanted.settings), loadable=loadable)
    if rows.unknown_variables:
        raise unknown_variable(min(rows.unknown_variables), wanted.settings.machine_message)
    return rows


def no_leads(found: dict[str, Any]) -> ApiError:
    """None of the rows of this report can be called."""
    details = found["rejected"] + found["duplicates"]
    return ApiError(422, "no_leads", Text(msgid("None of these leads can be called.")), details=details or [_no_rows()])


def report(request: http.Request, rows: CheckedRows) -> dict[str, Any]:
    """What became of the rows, in the reader's language."""
    rejected = [
        {"row": row.row, "lead_id": row.lead_id, "phone": row.phone, "reason": row.reason, "message": translated(request, row.text)}
        for row in rows.rejected
    ]
    duplicates = [
        {"row": row.row, "lead_id": row.lead_id, "phone": row.phone, "same_as": row.same_as, "by": row.by} for row in rows.duplicates
    ]
    read_as = [{"row": change.row, "lead_id": change.lead_id, "phone": change.phone, "read_as": change.read_as} for change in rows.read_as]
    return {"total_leads": rows.count, "accepted": rows.count, "rejected": rejected, "duplicates": duplicates, "read_as": read_as}


def _no_rows() -> dict[str, Any]:
    return {"field": "leads", "message": Text(msgid("must have at least one lead"))}
