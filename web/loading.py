"""Loads a run: reads leads from JSON, a CSV body or an upload, checks every row, and writes what is good in one transaction.

On the road of a call: 1. The run exists from here on; `start` in the same request puts it on the road at once.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from aiohttp import web as http
from pydantic import Field

from dialer.messages import MAX_NAME_CHARACTERS, CommandType, RunChanged
from sql.runs import IdReusedError, NewRun, Request
from web import faults, keys
from web.commands import request_id
from web.errors import said
from web.faults import ApiError, Text
from web.i18n import msgid
from web.inputs import JSON, MEGABYTE, Input, check, json_object, query_of, read, storable
from web.leads import MAX_LEADS, Sheet, check_rows
from web.tables import rows_of, too_many

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sql.businesses import Business
    from web.auth import Principal

MAX_BODY_BYTES: Final = 32 * MEGABYTE
BODY_SECONDS: Final = 120.0
MAX_FORM_FIELDS: Final = 20
MAX_FORM_CHARACTERS: Final = 1_000
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
class Load:
    """What a request asks for: `rows` reads the leads, when it is called, and `digest` tells this request from another."""

    settings: RunSettings
    rows: Callable[[], Rows]
    digest: bytes
    # The id of a request that cannot send an Idempotency-Key: a form of a page.
    request_id: str = ""


class _Leads(Input):
    leads: list[Any]


async def load(request: http.Request, who: Principal, asked: Load) -> dict[str, Any]:
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
        raise faults.idempotency_conflict() from None
    request.app[keys.RELAY].kick()
    if asked.settings.start:
        word = RunChanged(who.business_id, answer["run_id"], CommandType.START)
        await request.app[keys.STREAMS].tell(business.partition, word)
    return answer


async def asked_of(request: http.Request) -> Load:
    """Read the request in whichever of its three forms it came.

    Raises:
        ApiError: 400, 408, 413, 415 or 422.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if request.content_type == JSON:
                return await _from_json(await read(request, MAX_BODY_BYTES))
            if request.content_type == "text/csv":
                return of_table(query_of(request, RunSettings), await read(request, MAX_BODY_BYTES))
            if request.content_type == "multipart/form-data":
                return await _from_form(request)
    except TimeoutError:
        raise ApiError(408, "too_slow", Text(msgid("The request did not arrive in time."))) from None
    text = Text(msgid("Send the leads as application/json, text/csv or multipart/form-data."))
    raise ApiError(415, "unsupported_media_type", text)


def of_table(settings: RunSettings, body: bytes) -> Load:
    """A run whose leads are in a CSV file."""
    return Load(settings, lambda: rows_of(body), hashlib.sha256(settings.model_dump_json().encode() + b"\n" + body).digest())


def form_settings(texts: Mapping[str, str]) -> RunSettings:
    """The settings in a form's fields; empty ones are as if not sent.

    Raises:
        ApiError: 422, naming the fields.
    """
    return check(RunSettings, {name: value for name, value in texts.items() if value}, texts=True)


async def _from_json(body: bytes) -> Load:
    found = await asyncio.to_thread(json_object, body)
    leads = check(_Leads, {name: found[name] for name in ("leads",) if name in found}).leads
    if len(leads) > MAX_LEADS:
        raise too_many()
    settings = check(RunSettings, {name: value for name, value in found.items() if name != "leads"})
    return Load(settings, lambda: enumerate(leads, start=1), hashlib.sha256(body).digest())


async def _from_form(request: http.Request) -> Load:
    """The bound on the whole is that of the application (`client_max_size`), which the parser enforces as it reads."""
    try:
        form = await request.post()
    except (ValueError, LookupError):
        raise ApiError(400, "malformed_form", Text(msgid("The form cannot be read."))) from None
    if len(form) > MAX_FORM_FIELDS:
        raise ApiError(400, "malformed_form", Text(msgid("The form cannot be read.")))
    texts: dict[str, str] = dict(request.query)
    body: bytes | None = None
    for name, value in form.items():
        if isinstance(value, str) and name != FILE:
            texts[name] = value[: MAX_FORM_CHARACTERS + 1]
        elif name == FILE and body is None:
            body = value.encode() if isinstance(value, str) else await asyncio.to_thread(_content, value)
        else:
            raise faults.wrong_field(name=name, why=Text(msgid("is not known here")))
    if body is None:
        raise faults.wrong_field(name=FILE, why=Text(msgid("is missing")))
    return of_table(form_settings(texts), body)


def _content(value: http.FileField | bytes | bytearray) -> bytes:
    return value.file.read() if isinstance(value, http.FileField) else bytes(value)


async def _business(request: http.Request, who: Principal) -> Business:
    business = await request.app[keys.BUSINESSES].get(who.business_id)
    if business is None:
        raise faults.not_found()
    return business


def _concurrency(settings: RunSettings, business: Business) -> int:
    asked = settings.concurrency or business.max_calls
    if asked > business.max_calls:
        raise faults.wrong_field(name="concurrency", why=Text(msgid("must be at most {le}"), {"le": business.max_calls}))
    if settings.name is not None and not storable(settings.name):
        raise faults.wrong_field(name="name", why=Text(msgid("must be text")))
    return asked


def _checked(asked: Load, business: Business) -> Sheet:
    return check_rows(asked.rows(), business.region, business.timezone)


def _kept(settings: RunSettings) -> dict[str, Any]:
    """What the claim hands on with each attempt."""
    kept: dict[str, Any] = {"machine_detection": settings.machine_detection, "record": settings.record or None}
    return {name: value for name, value in kept.items() if value is not None}


def _report(request: http.Request, sheet: Sheet) -> dict[str, Any]:
    rejected = [
        {"row": bad.row, "lead_id": bad.lead_id, "phone": bad.phone, "reason": bad.reason, "message": said(request, bad.text)}
        for bad in sheet.rejected
    ]
    duplicates = [
        {"row": again.row, "lead_id": again.lead_id, "phone": again.phone, "same_as": again.same_as, "by": again.by}
        for again in sheet.duplicates
    ]
    accepted = len(sheet.accepted)
    return {"total_leads": accepted, "accepted": accepted, "rejected": rejected, "duplicates": duplicates}


def _no_rows() -> dict[str, Any]:
    return {"field": "leads", "message": Text(msgid("must have at least one lead"))}
