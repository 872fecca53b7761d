"""The form for a new run: it takes a file or pasted rows, and reports the rows that were not accepted before any call is placed."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role, RunStatus
from web.access.auth import require_principal
from web.intake.importer import import_run
from web.intake.imports.import_request import upload
from web.pages import frame
from web.pages.new_run.submission import editable, empty_submission, import_of, read_submission
from web.server import errors, keys
from web.server.error_responses import said, translated
from web.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web as http

    from web.access.auth import Principal
    from web.pages.new_run.submission import Submission

MAX_ROWS: Final = 200
MAX_FILE_NAME_CHARACTERS: Final = 200
CLIENT_ERROR: Final = range(400, 500)


async def new_form(request: http.Request) -> http.Response:
    """The empty form."""
    principal = require_principal(request, Role.OPERATOR)
    return await _form(request, principal, empty_submission(request))


async def create(request: http.Request) -> http.Response:
    """Create the run and report the rows that were left out; after a mistake the form comes back as it was sent."""
    principal = require_principal(request, Role.OPERATOR)
    submission = empty_submission(request)
    try:
        async with upload(request, principal.business_id) as body:
            submission = await asyncio.to_thread(read_submission, request, body)
            try:
                answer = await import_run(request, principal, await asyncio.to_thread(import_of, principal, submission))
            except ApiError:
                submission = await asyncio.to_thread(editable, submission)
                raise
    except ApiError as error:
        if error.status not in CLIENT_ERROR:
            raise
        return await _form(request, principal, submission, error)
    run = {"run_id": answer["run_id"], "status": RunStatus(answer["status"])}
    return await frame.render(request, "import_result.html", status=201, run=run, **_report_values(answer))


async def _form(request: http.Request, principal: Principal, submission: Submission, error: ApiError | None = None) -> http.Response:
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    if business is None:
        raise errors.not_found()
    details: Sequence[Mapping[str, Any]] = [translated(request, dict(detail)) for detail in error.details] if error else []
    rows = [detail for detail in details if "row" in detail]
    report = {"rejected": [row for row in rows if "message" in row], "duplicates": [row for row in rows if "same_as" in row]}
    values = submission.values
    return await frame.render(
        request,
        "new_run.html",
        status=error.status if error else 200,
        form=values if values.concurrency else dataclasses.replace(values, concurrency=str(business.max_calls)),
        max_calls=business.max_calls,
        error=said(request, error.text) if error else "",
        details=[detail for detail in details if "row" not in detail and detail.get("field") != "file"],
        file_name=submission.leads.file_name[:MAX_FILE_NAME_CHARACTERS],
        **_report_values(report),
    )


def _report_values(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "accepted": report.get("accepted", 0),
        "rejected": report["rejected"],
        "duplicates": report["duplicates"],
        # Replies remembered before this list existed have none.
        "read_as": report.get("read_as", []),
        "most_rows": MAX_ROWS,
    }
