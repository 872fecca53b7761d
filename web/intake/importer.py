"""Imports a run: receives leads as JSON, CSV or a form, checks every row, and writes the good ones in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from dialer.messages import MAX_NAME_CHARACTERS, CommandType, RunChanged
from sql.runs.new_run import IdReusedError, NewRun, Request
from web.intake.csv_file import rows_of
from web.intake.form import read_form
from web.intake.json_file import LEADS, leads_of, settings_of
from web.intake.received import received
from web.intake.rows import CheckedRows, check_rows
from web.operations.idempotency import request_id
from web.server import errors, keys
from web.server.bodies import UPLOAD_PACE
from web.server.error_responses import translated
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import JSON, Input, check, query_of, storable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from web.access.auth import Principal
    from web.intake.encoding import Source
    from web.intake.received import ReceivedBody

CSV: Final = "text/csv"
FORM: Final = "multipart/form-data"
FILE: Final = "file"
PRIORITY: Final = 100
Rows = Iterator[tuple[int, object]]


class RunSettings(Input):
    """How a run is dialled; `concurrency` None means all the lines of the business."""

    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] | None = None
    concurrency: Annotated[int, Field(ge=1)] | None = None
    start: bool = False
    priority: Annotated[int, Field(ge=-PRIORITY, le=PRIORITY)] = 0
    machine_detection: Literal["Enable", "DetectMessageEnd"] | None = None
    record: bool = False


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A run to be imported: calling `rows` reads the leads, and `digest` tells this request from a different one."""

    settings: RunSettings
    rows: Callable[[], Rows]
    digest: bytes
    # Set for a form of a page, which cannot send an Idempotency-Key.
    request_id: str = ""


class _Leads(Input):
    leads: list[Any]


async def import_run(request: http.Request, principal: Principal, wanted: ImportRequest) -> dict[str, Any]:
    """Check the rows and write the run; return the reply of the contract.

    Raises:
        ApiError: 409, 413, 422 or 503.
    """
    business = await _business(request, principal)
    settings = wanted.settings
    concurrency = _concurrency(settings, business)
    rows = await asyncio.to_thread(_check, wanted, business)
    report = _report(request, rows)
    if not rows.accepted:
        details = report["rejected"] + report["duplicates"]
        raise ApiError(422, "no_leads", Text(msgid("None of these leads can be called.")), details=details or [_no_rows()])
    new = NewRun(
        business_id=principal.business_id,
        name=settings.name,
        concurrency=concurrency,
        leads=rows.accepted,
        start=settings.start,
        priority=settings.priority,
        settings=_attempt_settings(settings),
        created_by_user_id=principal.user_id,
    )
    try:
        identity = Request(wanted.request_id or request_id(request), wanted.digest, principal.actor, report)
        answer, _ = await request.app[keys.RUNS].create(new, identity)
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    request.app[keys.RELAY].kick()
    if settings.start:
        hint = RunChanged(principal.business_id, answer["run_id"], CommandType.START)
        request.app[keys.OWNER_HINTS].send(business.partition, hint)
    return answer


@asynccontextmanager
async def upload(request: http.Request, business_id: int) -> AsyncIterator[ReceivedBody]:
    """Receive a body with leads, then hold a turn to check them; the turn is taken only once the body has arrived.

    Raises:
        ApiError: 400, 408, 413 or 503.
    """
    uploads = request.app[keys.UPLOADS]
    async with (
        uploads.receiving.hold(business_id),
        received(request, request.app[UPLOAD_PACE]) as body,
        uploads.checking.hold(business_id),
    ):
        yield body


def reject_other_types(request: http.Request) -> None:
    """Reject a body that is neither JSON nor CSV nor a form, before it is received.

    Raises:
        ApiError: 415.
    """
    if request.content_type not in {JSON, CSV, FORM}:
        text = Text(msgid("Send the leads as application/json, text/csv or multipart/form-data."))
        raise ApiError(415, "unsupported_media_type", text)


async def import_request(request: http.Request, body: ReceivedBody) -> ImportRequest:
    """The import in a body of JSON, CSV or a form; `body` must stay open until the rows have been read.

    Raises:
        ApiError: 400, 413 or 422.
    """
    if request.content_type == JSON:
        return await asyncio.to_thread(_from_json, body)
    if request.content_type == CSV:
        return await asyncio.to_thread(import_of_table, query_of(request, RunSettings), body.source())
    query_of(request, RunSettings)
    return await asyncio.to_thread(_from_form, body, request.headers["Content-Type"], dict(request.query))


def import_of_table(settings: RunSettings, source: Source) -> ImportRequest:
    """The import of a run whose leads are in a CSV file."""
    digest = hashlib.sha256(settings.model_dump_json().encode() + b"\n")
    return ImportRequest(settings, lambda: rows_of(source), _digested(digest, source))


def form_settings(texts: Mapping[str, str]) -> RunSettings:
    """The settings in a form's fields; an empty field counts as not sent.

    Raises:
        ApiError: 422, naming the fields.
    """
    return check(RunSettings, {name: value for name, value in texts.items() if value}, texts=True)


def _from_json(body: ReceivedBody) -> ImportRequest:
    members = settings_of(body.source())
    check(_Leads, {LEADS: members.pop(LEADS)} if LEADS in members else {})
    return ImportRequest(check(RunSettings, members), lambda: leads_of(body.source()), _digested(hashlib.sha256(), body.source()))


def _from_form(body: ReceivedBody, content_type: str, query: Mapping[str, str]) -> ImportRequest:
    form = read_form(body, content_type)
    for name in form.spans:
        if name != FILE:
            raise errors.wrong_field(name=name, why=Text(msgid("is too large")))
    leads = form.part(FILE)
    if leads is None:
        raise errors.wrong_field(name=FILE, why=Text(msgid("is missing")))
    texts = {name: text for name, text in {**query, **form.texts}.items() if name != FILE}
    return import_of_table(form_settings(texts), leads.source)


def _digested(digest: hashlib._Hash, source: Source) -> bytes:
    for piece in source():
        digest.update(piece)
    return digest.digest()


async def _business(request: http.Request, principal: Principal) -> Business:
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    if business is None:
        raise errors.not_found()
    return business


def _concurrency(settings: RunSettings, business: Business) -> int:
    concurrency = settings.concurrency or business.max_calls
    if concurrency > business.max_calls:
        raise errors.wrong_field(name="concurrency", why=Text(msgid("must be at most {le}"), {"le": business.max_calls}))
    if settings.name is not None and not storable(settings.name):
        raise errors.wrong_field(name="name", why=Text(msgid("must be text")))
    return concurrency


def _check(wanted: ImportRequest, business: Business) -> CheckedRows:
    return check_rows(wanted.rows(), business.region, business.timezone)


def _attempt_settings(settings: RunSettings) -> dict[str, Any]:
    """The settings that the claim returns with each attempt."""
    values: dict[str, Any] = {"machine_detection": settings.machine_detection, "record": settings.record or None}
    return {name: value for name, value in values.items() if value is not None}


def _report(request: http.Request, rows: CheckedRows) -> dict[str, Any]:
    rejected = [
        {"row": row.row, "lead_id": row.lead_id, "phone": row.phone, "reason": row.reason, "message": translated(request, row.text)}
        for row in rows.rejected
    ]
    duplicates = [
        {"row": row.row, "lead_id": row.lead_id, "phone": row.phone, "same_as": row.same_as, "by": row.by} for row in rows.duplicates
    ]
    read_as = [{"row": change.row, "lead_id": change.lead_id, "phone": change.phone, "read_as": change.read_as} for change in rows.read_as]
    accepted = len(rows.accepted)
    return {"total_leads": accepted, "accepted": accepted, "rejected": rejected, "duplicates": duplicates, "read_as": read_as}


def _no_rows() -> dict[str, Any]:
    return {"field": "leads", "message": Text(msgid("must have at least one lead"))}
