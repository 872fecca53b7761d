"""Loads a run: receives leads as JSON, a CSV body or an upload, checks every row, and writes what is good in one transaction.

On the road of a call: 1. The run exists from here on; `start` in the same request puts it on the road at once.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from dialer.messages import MAX_NAME_CHARACTERS, CommandType, RunChanged
from sql.runs.runs import IdReusedError, NewRun, Request
from web.intake.csv_file import rows_of
from web.intake.encoding import pieces
from web.intake.form import read_form
from web.intake.json_file import LEADS, leads_of, settings_of
from web.intake.received import received
from web.intake.rows import CheckedRows, check_rows
from web.operations.commands import request_id
from web.server import errors, keys
from web.server.bodies import UPLOAD_PACE
from web.server.error_responses import said
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
    """How a run is to be dialled; `concurrency` None means all the calls the business may hold."""

    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] | None = None
    concurrency: Annotated[int, Field(ge=1)] | None = None
    start: bool = False
    priority: Annotated[int, Field(ge=-PRIORITY, le=PRIORITY)] = 0
    machine_detection: Literal["Enable", "DetectMessageEnd"] | None = None
    record: bool = False


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a request asks for: `rows` reads the leads, when it is called, and `digest` tells this request from another."""

    settings: RunSettings
    rows: Callable[[], Rows]
    digest: bytes
    # The id of a request that cannot send an Idempotency-Key: a form of a page.
    request_id: str = ""


class _Leads(Input):
    leads: list[Any]


async def load(request: http.Request, who: Principal, asked: ImportRequest) -> dict[str, Any]:
    """Check and write a run; return the answer of the contract.

    Raises:
        ApiError: 409, 413, 422 or 503.
    """
    business = await _business(request, who)
    concurrency = _concurrency(asked.settings, business)
    sheet = await asyncio.to_thread(_checked, asked, business)
    report = _report(request, sheet)
    if not sheet.accepted:
        details = report["rejected"] + report["duplicates"]
        raise ApiError(422, "no_leads", Text(msgid("There is no lead that can be called.")), details=details or [_no_rows()])
    new = NewRun(
        business_id=who.business_id,
        name=asked.settings.name,
        concurrency=concurrency,
        leads=sheet.accepted,
        start=asked.settings.start,
        priority=asked.settings.priority,
        settings=_kept(asked.settings),
        created_by_user_id=who.user_id,
    )
    try:
        asking = Request(asked.request_id or request_id(request), asked.digest, who.actor, report)
        answer, _ = await request.app[keys.RUNS].create(new, asking)
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    request.app[keys.RELAY].kick()
    if asked.settings.start:
        hint = RunChanged(who.business_id, answer["run_id"], CommandType.START)
        request.app[keys.OWNER_HINTS].send(business.partition, hint)
    return answer


@asynccontextmanager
async def upload(request: http.Request, business_id: int) -> AsyncIterator[ReceivedBody]:
    """Receive the body of a request that loads leads, and hold a turn to check them: it is taken only when the body is here.

    Raises:
        ApiError: 400, 408, 413 or 503.
    """
    uploads = request.app[keys.UPLOADS]
    async with (
        uploads.receiving.turn(business_id),
        received(request, request.app[UPLOAD_PACE]) as body,
        uploads.checking.turn(business_id),
    ):
        yield body


def refuse_other_types(request: http.Request) -> None:
    """Refuse what is in none of the three forms, before it is received.

    Raises:
        ApiError: 415.
    """
    if request.content_type not in {JSON, CSV, FORM}:
        text = Text(msgid("Send the leads as application/json, text/csv or multipart/form-data."))
        raise ApiError(415, "unsupported_media_type", text)


async def asked_of(request: http.Request, body: ReceivedBody) -> ImportRequest:
    """Read the request in whichever of its three forms it came; `body` must stay until the rows have been read.

    Raises:
        ApiError: 400, 413 or 422.
    """
    if request.content_type == JSON:
        return await asyncio.to_thread(_from_json, body)
    if request.content_type == CSV:
        return await asyncio.to_thread(of_table, query_of(request, RunSettings), body.source())
    query_of(request, RunSettings)
    return await asyncio.to_thread(_from_form, body, request.headers["Content-Type"], dict(request.query))


def of_table(settings: RunSettings, source: Source) -> ImportRequest:
    """A run whose leads are in a CSV file."""
    digest = hashlib.sha256(settings.model_dump_json().encode() + b"\n")
    return ImportRequest(settings, lambda: rows_of(source), _digested(digest, source))


def form_settings(texts: Mapping[str, str]) -> RunSettings:
    """The settings in a form's fields; empty ones are as if not sent.

    Raises:
        ApiError: 422, naming the fields.
    """
    return check(RunSettings, {name: value for name, value in texts.items() if value}, texts=True)


def _from_json(body: ReceivedBody) -> ImportRequest:
    found = settings_of(body.source())
    check(_Leads, {LEADS: found.pop(LEADS)} if LEADS in found else {})
    return ImportRequest(check(RunSettings, found), lambda: leads_of(body.source()), _digested(hashlib.sha256(), body.source()))


def _from_form(body: ReceivedBody, content_type: str, query: Mapping[str, str]) -> ImportRequest:
    form = read_form(body, content_type)
    for name in form.places:
        if name != FILE:
            raise errors.wrong_field(name=name, why=Text(msgid("is too large")))
    texts = {**query, **form.texts}
    pasted = texts.pop(FILE, None)
    if pasted is not None:
        return of_table(form_settings(texts), pieces(pasted.encode()))
    if FILE not in form.places:
        raise errors.wrong_field(name=FILE, why=Text(msgid("is missing")))
    place = form.places[FILE]
    return of_table(form_settings(texts), body.source(place.start, place.end))


def _digested(digest: hashlib._Hash, source: Source) -> bytes:
    for piece in source():
        digest.update(piece)
    return digest.digest()


async def _business(request: http.Request, who: Principal) -> Business:
    business = await request.app[keys.BUSINESSES].get(who.business_id)
    if business is None:
        raise errors.not_found()
    return business


def _concurrency(settings: RunSettings, business: Business) -> int:
    asked = settings.concurrency or business.max_calls
    if asked > business.max_calls:
        raise errors.wrong_field(name="concurrency", why=Text(msgid("must be at most {le}"), {"le": business.max_calls}))
    if settings.name is not None and not storable(settings.name):
        raise errors.wrong_field(name="name", why=Text(msgid("must be text")))
    return asked


def _checked(asked: ImportRequest, business: Business) -> CheckedRows:
    return check_rows(asked.rows(), business.region, business.timezone)


def _kept(settings: RunSettings) -> dict[str, Any]:
    """What the claim hands on with each attempt."""
    kept: dict[str, Any] = {"machine_detection": settings.machine_detection, "record": settings.record or None}
    return {name: value for name, value in kept.items() if value is not None}


def _report(request: http.Request, sheet: CheckedRows) -> dict[str, Any]:
    rejected = [
        {"row": bad.row, "lead_id": bad.lead_id, "phone": bad.phone, "reason": bad.reason, "message": said(request, bad.text)}
        for bad in sheet.rejected
    ]
    duplicates = [
        {"row": again.row, "lead_id": again.lead_id, "phone": again.phone, "same_as": again.same_as, "by": again.by}
        for again in sheet.duplicates
    ]
    read_as = [{"row": it.row, "lead_id": it.lead_id, "phone": it.phone, "read_as": it.read_as} for it in sheet.read_as]
    accepted = len(sheet.accepted)
    return {"total_leads": accepted, "accepted": accepted, "rejected": rejected, "duplicates": duplicates, "read_as": read_as}


def _no_rows() -> dict[str, Any]:
    return {"field": "leads", "message": Text(msgid("must have at least one lead"))}
