"""Receives leads with the settings of their run: as JSON, as a table (CSV, TSV, XLSX), or as a form with one."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from web.intake.form import read_form
from web.intake.json_file import LEADS, settings_of
from web.intake.readers.lead_check import checked_rows, checked_while_arriving
from web.intake.readers.lead_file import FileKind, LeadFile
from web.intake.received import arriving, received
from web.intake.tables.layout import mapping_of
from web.intake.tables.workbook import is_packed, is_workbook, unpacked
from web.operations.settings.run_fields import RunSettings, settings_of_texts
from web.server import errors, keys
from web.server.bodies import UPLOAD_PACE
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import JSON, Input, check, query_texts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import ExitStack

    from aiohttp import web as http

    from web.intake.encoding import Source
    from web.intake.readers.lead_file import RowRules
    from web.intake.received import ArrivingBody, ReceivedBody
    from web.intake.rows import CheckedRows
    from web.intake.tables.headings import Role

CSV: Final = "text/csv"
TSV: Final = "text/tab-separated-values"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORM: Final = "multipart/form-data"
FILE: Final = "file"
MAPPING: Final = "mapping"


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Leads to be imported: `source` has the bytes of `file`, and `digest` tells this request from a different one, once the rows are read.

    `closing` removes what is kept in files until the request ends.
    """

    settings: RunSettings
    file: LeadFile
    source: Source
    digest: Callable[[], bytes]
    closing: ExitStack
    # Set for a form of a page, which cannot send an Idempotency-Key.
    request_id: str = ""
    # Set while the bytes still arrive.
    arriving: ArrivingBody | None = None

    async def checked(self, rules: RowRules, *, loadable: bool = False) -> CheckedRows:
        """The rows, each of them checked; `loadable` as for `checked_rows`.

        Raises:
            ApiError: 400, 408, 413 or 422, when they cannot be read.
        """
        if self.arriving:
            return await checked_while_arriving(self.file, self.arriving, rules, self.closing, loadable=loadable)
        return await checked_rows(self.file, self.source, rules, self.closing, loadable=loadable)


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

    A table whose settings are in the query is read while it arrives, as far as there are turns for that; those hold nobody up who may
    send slowly.

    Raises:
        ApiError: 400, 408, 413, 415, 422 or 503.
    """
    reject_other_types(request)
    uploads = request.app[keys.UPLOADS]
    async with uploads.receiving.hold(business_id), arriving(request, request.app[UPLOAD_PACE]) as body, AsyncExitStack() as turn:
        if not (
            request.content_type in {CSV, TSV}
            and await body.receive_beginning()
            and not await asyncio.to_thread(is_packed, body.source())
            and await uploads.following.try_hold(business_id, turn)
        ):
            await body.receive_rest()
            await turn.enter_async_context(uploads.checking.hold(business_id))
            yield await import_request(request, body, model)
            return
        try:
            wanted = await asyncio.to_thread(_of_texts, query_texts(request), model, body.pieces, body.closing)
            yield replace(wanted, arriving=body)
        except ApiError:
            # It is answered like any other: when all of it has arrived.
            await body.receive_rest()
            raise


def reject_other_types(request: http.Request) -> None:
    """Reject a body that is neither JSON nor a table nor a form, before it is received.

    Raises:
        ApiError: 415.
    """
    if request.content_type not in {JSON, CSV, TSV, XLSX, FORM}:
        text = Text(msgid("Send the leads as JSON, CSV, an Excel workbook (.xlsx) or a form (multipart/form-data)."))
        raise ApiError(415, "unsupported_media_type", text)


async def import_request(request: http.Request, body: ReceivedBody, model: type[RunSettings] = RunSettings) -> ImportRequest:
    """The import in a body of JSON, a table or a form; `body` must stay open until the rows have been read.

    Raises:
        ApiError: 400, 413 or 422.
    """
    if request.content_type == JSON:
        return await asyncio.to_thread(_from_json, body, model)
    texts = query_texts(request)
    if request.content_type == FORM:
        return await asyncio.to_thread(_from_form, body, request.headers["Content-Type"], texts, model)
    return await asyncio.to_thread(_of_texts, texts, model, body.source(), body.closing)


def import_of_table(settings: RunSettings, source: Source, closing: ExitStack, mapping: Mapping[str, Role] | None = None) -> ImportRequest:
    """The import of a run whose leads are in a CSV file or a workbook; its content tells which. `closing` removes what it is unpacked to.

    Raises:
        ApiError: 413 or 422, when it is a workbook that cannot be unpacked.
    """
    digest = hashlib.sha256(settings.model_dump_json(exclude_unset=True).encode(errors="replace") + b"\n")
    if mapping is not None:
        digest.update(json.dumps(mapping).encode() + b"\n")
    kind, rows = (FileKind.ROWS, unpacked(source, closing).source()) if is_workbook(source) else (FileKind.CSV, source)
    return ImportRequest(settings, LeadFile(kind, mapping or {}), rows, lambda: _digested(digest, source), closing)


def _of_texts(texts: dict[str, str], model: type[RunSettings], source: Source, closing: ExitStack) -> ImportRequest:
    mapping = _mapping(texts.pop(MAPPING)) if MAPPING in texts else None
    return import_of_table(settings_of_texts(texts, model), source, closing, mapping)


def _mapping(text: str) -> dict[str, Role]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise errors.wrong_field(name=MAPPING, why=Text(msgid("must be JSON"))) from None
    return mapping_of(value)


def _from_json(body: ReceivedBody, model: type[RunSettings]) -> ImportRequest:
    members = settings_of(body.source())
    check(_Leads, {LEADS: members.pop(LEADS)} if LEADS in members else {})
    source = body.source()
    return ImportRequest(check(model, members), LeadFile(FileKind.JSON), source, lambda: _digested(hashlib.sha256(), source), body.closing)


def _from_form(body: ReceivedBody, content_type: str, query: Mapping[str, str], model: type[RunSettings]) -> ImportRequest:
    form = read_form(body, content_type)
    for name in form.spans:
        if name != FILE:
            raise errors.wrong_field(name=name, why=Text(msgid("is too large")))
    leads = form.part(FILE)
    if leads is None:
        raise errors.wrong_field(name=FILE, why=Text(msgid("is missing")))
    texts = {name: text for name, text in {**query, **form.texts}.items() if name != FILE}
    return _of_texts(texts, model, leads.source, body.closing)


def _digested(digest: hashlib._Hash, source: Source) -> bytes:
    whole = digest.copy()
    for piece in source():
        whole.update(piece)
    return whole.digest()
