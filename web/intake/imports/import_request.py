"""Receives leads with the settings of their run, as JSON, CSV or a form."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from web.intake.csv_file import rows_of
from web.intake.form import read_form
from web.intake.json_file import LEADS, leads_of, settings_of
from web.intake.received import received
from web.operations.settings.run_fields import RunSettings, settings_of_query, settings_of_texts
from web.server import errors, keys
from web.server.bodies import UPLOAD_PACE
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import JSON, Input, check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp import web as http

    from web.intake.encoding import Source
    from web.intake.received import ReceivedBody

CSV: Final = "text/csv"
FORM: Final = "multipart/form-data"
FILE: Final = "file"
Rows = Iterator[tuple[int, object]]


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Leads to be imported: calling `rows` reads them, and `digest` tells this request from a different one."""

    settings: RunSettings
    rows: Callable[[], Rows]
    digest: bytes
    # Set for a form of a page, which cannot send an Idempotency-Key.
    request_id: str = ""


class _Leads(Input):
    leads: list[Any]


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


@asynccontextmanager
async def imported(request: http.Request, business_id: int, model: type[RunSettings] = RunSettings) -> AsyncIterator[ImportRequest]:
    """Receive a request with leads; they can be read within the block. `model` has the fields that are sent beside them.

    Raises:
        ApiError: 400, 408, 413, 415, 422 or 503.
    """
    reject_other_types(request)
    async with upload(request, business_id) as body:
        yield await import_request(request, body, model)


def reject_other_types(request: http.Request) -> None:
    """Reject a body that is neither JSON nor CSV nor a form, before it is received.

    Raises:
        ApiError: 415.
    """
    if request.content_type not in {JSON, CSV, FORM}:
        text = Text(msgid("Send the leads as application/json, text/csv or multipart/form-data."))
        raise ApiError(415, "unsupported_media_type", text)


async def import_request(request: http.Request, body: ReceivedBody, model: type[RunSettings] = RunSettings) -> ImportRequest:
    """The import in a body of JSON, CSV or a form; `body` must stay open until the rows have been read.

    Raises:
        ApiError: 400, 413 or 422.
    """
    if request.content_type == JSON:
        return await asyncio.to_thread(_from_json, body, model)
    settings = settings_of_query(request, model)
    if request.content_type == CSV:
        return await asyncio.to_thread(import_of_table, settings, body.source())
    return await asyncio.to_thread(_from_form, body, request.headers["Content-Type"], dict(request.query), model)


def import_of_table(settings: RunSettings, source: Source) -> ImportRequest:
    """The import of a run whose leads are in a CSV file."""
    digest = hashlib.sha256(settings.model_dump_json(exclude_unset=True).encode(errors="replace") + b"\n")
    return ImportRequest(settings, lambda: rows_of(source), _digested(digest, source))


def _from_json(body: ReceivedBody, model: type[RunSettings]) -> ImportRequest:
    members = settings_of(body.source())
    check(_Leads, {LEADS: members.pop(LEADS)} if LEADS in members else {})
    return ImportRequest(check(model, members), lambda: leads_of(body.source()), _digested(hashlib.sha256(), body.source()))


def _from_form(body: ReceivedBody, content_type: str, query: Mapping[str, str], model: type[RunSettings]) -> ImportRequest:
    form = read_form(body, content_type)
    for name in form.spans:
        if name != FILE:
            raise errors.wrong_field(name=name, why=Text(msgid("is too large")))
    leads = form.part(FILE)
    if leads is None:
        raise errors.wrong_field(name=FILE, why=Text(msgid("is missing")))
    texts = {name: text for name, text in {**query, **form.texts}.items() if name != FILE}
    return import_of_table(settings_of_texts(texts, model), leads.source)


def _digested(digest: hashlib._Hash, source: Source) -> bytes:
    for piece in source():
        digest.update(piece)
    return digest.digest()
