"""Adds leads to a run: rows are checked as for a new run, and those that the run has already are reported as duplicates."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sql.commands.requests import IdReusedError
from sql.runs.changes import Addition, EndedRunError, RunChanges
from sql.runs.new_run import Request
from web.intake.importer import checked, no_leads, report
from web.intake.imports.row_report import load_report
from web.operations.idempotency import request_id
from web.operations.runs import announce_run, refused_in_state, requested_run
from web.operations.settings.business import own_business
from web.operations.settings.run_fields import variables_of
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http

    from sql.runs.changes import KnownLead
    from web.access.auth import Principal
    from web.intake.imports.import_request import ImportRequest
    from web.intake.rows import CheckedRows


async def add_leads(request: http.Request, principal: Principal, wanted: ImportRequest) -> dict[str, Any]:
    """Check the rows and add them to the run in the path; return the reply of the contract.

    Raises:
        ApiError: 404, 409, 413, 422 or 503.
    """
    for name in sorted(wanted.settings.model_fields_set):
        raise errors.wrong_field(name=name, why=Text(msgid("is not a known field")))
    run = await requested_run(request, principal)
    business = await own_business(request, principal)
    effective = run.effective_settings
    rows = await checked(wanted, business, variables_of(effective["script"], effective["machine_message"]))
    found = report(request, rows)
    if not rows.accepted:
        raise no_leads(found)
    addition = Addition(
        business.business_id,
        run.run_id,
        rows.accepted,
        lambda known: _answer(found, rows, known),
        lambda known: load_report(rows, known),
        is_numbered=rows.is_numbered,
    )
    identity = Request(request_id(request), await asyncio.to_thread(wanted.digest), principal.actor, {}, "run.add")
    try:
        answer, _ = await RunChanges(request.app[keys.POOL]).add(addition, identity)
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    except EndedRunError:
        raise await refused_in_state(request.app, run.business_id, run.run_id) from None
    announce_run(request, business, run.run_id, answer["status"])
    return answer


def _answer(found: dict[str, Any], rows: CheckedRows, known: Mapping[int, KnownLead]) -> dict[str, Any]:
    """The report, with the leads that the run has already among the duplicates.

    Raises:
        ApiError: 422, when none is left.
    """
    again = [
        {
            "row": rows.numbers[n],
            "lead_id": rows.accepted[n].external_id or rows.accepted[n].lead_id,
            "phone": rows.accepted[n].phone,
            "same_as": lead.same_as,
            "by": lead.by,
        }
        for n, lead in known.items()
    ]
    dropped = {duplicate["row"] for duplicate in again}
    answer = {
        **found,
        "accepted": len(rows.accepted) - len(known),
        "duplicates": sorted(found["duplicates"] + again, key=lambda duplicate: duplicate["row"]),
        "read_as": [change for change in found["read_as"] if change["row"] not in dropped],
    }
    if not answer["accepted"]:
        raise no_leads(answer)
    return answer
