"""Receives a list of phone numbers as JSON, as a table (CSV, TSV, XLSX) or in a form, and checks every row."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import Field

from dialer.policy.registers import MAX_NAME
from sql.stored_text import storable
from web.access.auth import require_principal
from web.intake.imports.import_request import CSV, FILE, TSV, XLSX, upload
from web.intake.phone_lists.phone_list import MAX_REASON_CHARACTERS, PhoneList, check_phones
from web.intake.phone_lists.phone_rows import PhoneRow, phone_rows
from web.operations.do_not_call import ListChange, change_list, require_changer
from web.server import errors, keys
from web.server.bodies import MEGABYTE
from web.server.error_responses import translated
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import JSON, MAX_DETAILS, Input, check, json_object, query_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web as http

    from web.access.auth import Principal
    from web.intake.encoding import Source
    from web.intake.form import Part
    from web.intake.received import ReceivedBody

# It is read into memory: more than 200,000 numbers. A longer list is sent as a table.
MAX_JSON_MEGABYTES: Final = 4
# What the file is, its content tells.
TABLES: Final = frozenset({CSV, TSV, XLSX})


class ListSettings(Input):
    """Why the numbers are not to be called, or which official register they are."""

    reason: Annotated[str, Field(max_length=MAX_REASON_CHARACTERS)] | None = None
    register_: Annotated[str | None, Field(min_length=1, max_length=MAX_NAME, alias="register")] = None


class _Phones(ListSettings):
    phones: Annotated[list[Any], Field(min_length=1)]


Settings = TypeVar("Settings", bound=ListSettings)


async def import_phones(request: http.Request) -> dict[str, Any]:
    """Add the numbers of the body to the list of the business, or to a register in the place of its former ones; return the answer.

    Raises:
        ApiError: 400, 401, 403, 408, 409, 413, 415, 422 or 503.
    """
    query = _storable(query_of(request, ListSettings))
    principal = require_changer(request, query.register_)
    if request.content_type not in {JSON, *TABLES}:
        raise ApiError(415, "unsupported_media_type", Text(msgid("Send the numbers as JSON, CSV or an Excel workbook (.xlsx).")))
    async with upload(request, principal.business_id) as body:
        region = await _region(request, principal)
        settings, phones = await asyncio.to_thread(_read, request.content_type, body, query, region)
        require_changer(request, settings.register_)
        digest = await asyncio.to_thread(_digest, body.source(), settings)
    return await change_list(request, ListChange(phones, _report(request, phones), digest, settings.register_))


async def change_of_file(request: http.Request, file: Part | None, *, reason: str | None, register: str | None) -> ListChange:
    """The change that the file of a form asks for, once the form has been received.

    Raises:
        ApiError: 401, 403, 413 or 422.
    """
    given = {"reason": reason, "register": register}
    settings = _storable(check(ListSettings, {name: text for name, text in given.items() if text is not None}))
    principal = require_changer(request, settings.register_)
    if file is None or not file.file_name:
        raise errors.wrong_field(name=FILE, why=Text(msgid("Choose a file with phone numbers.")))
    region, source = await _region(request, principal), file.source
    phones = await asyncio.to_thread(lambda: check_phones(phone_rows(source, region), region, settings.reason))
    digest = await asyncio.to_thread(_digest, source, settings)
    return ListChange(phones, _report(request, phones), digest, settings.register_)


async def add_phones(request: http.Request, cells: Sequence[str], reason: str | None) -> dict[str, Any]:
    """Add the numbers of a form to the list of the business; return the answer.

    Raises:
        ApiError: 401, 403 or 409; 422 naming each cell that is no number: none is added then.
    """
    given = _storable(check(_Phones, {"phones": cells, **({"reason": reason} if reason else {})}))
    phones = check_phones(
        (PhoneRow(n, cell) for n, cell in enumerate(cells)), await _region(request, require_changer(request, None)), reason
    )
    _refuse_rejected(phones)
    digest = hashlib.sha256(given.model_dump_json().encode()).digest()
    return await change_list(request, ListChange(phones, _report(request, phones), digest))


async def read_phones(request: http.Request, cells: Sequence[object]) -> list[str]:
    """The numbers in E.164, each once, read with the region of the business.

    Raises:
        ApiError: 401, or 422 naming each cell that is no number.
    """
    region = await _region(request, require_principal(request))
    phones = check_phones((PhoneRow(row, cell) for row, cell in enumerate(cells)), region)
    _refuse_rejected(phones)
    return list(dict.fromkeys(phone for phone, _ in phones))


def _refuse_rejected(phones: PhoneList) -> None:
    if phones.rejected:
        raise errors.invalid([{"field": f"phones.{row.row}", "message": row.text} for row in phones.rejected[:MAX_DETAILS]])


def _read(content_type: str, body: ReceivedBody, query: ListSettings, region: str) -> tuple[ListSettings, PhoneList]:
    if content_type != JSON:
        return query, check_phones(phone_rows(body.source(), region), region, query.reason)
    if body.size > MAX_JSON_MEGABYTES * MEGABYTE:
        raise errors.too_large(MAX_JSON_MEGABYTES)
    given = _storable(check(_Phones, {**query.model_dump(by_alias=True, exclude_none=True), **json_object(body.read(0, body.size))}))
    rows = (PhoneRow(number, phone) for number, phone in enumerate(given.phones, start=1))
    return given, check_phones(rows, region, given.reason)


def _digest(source: Source, settings: ListSettings) -> bytes:
    digest = hashlib.sha256(f"{settings.reason}|{settings.register_}\n".encode())
    for piece in source():
        digest.update(piece)
    return digest.digest()


async def _region(request: http.Request, principal: Principal) -> str:
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    if business is None:
        raise errors.not_found()
    return business.region


def _report(request: http.Request, phones: PhoneList) -> dict[str, Any]:
    rejected = [
        {"row": row.row, "phone": row.phone, "reason": row.reason, "message": translated(request, row.text)} for row in phones.rejected
    ]
    return {"rejected": rejected, "rejected_count": phones.rejected_count}


def _storable(settings: Settings) -> Settings:
    for name, text in (("reason", settings.reason), ("register", settings.register_)):
        if text is not None and not storable(text):
            raise errors.wrong_field(name=name, why=Text(msgid("must be text")))
    return settings
