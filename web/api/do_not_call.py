"""The do-not-call list of a business over HTTP: list, search, add, remove, export; a register is replaced as a whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from aiohttp import web as http
from pydantic import Field

from dialer.model import Role
from dialer.policy.registers import MAX_NAME
from sql.do_not_call.do_not_call import ListEntry, ListPlace
from sql.stored_text import storable
from web.access.auth import require_principal
from web.api.export import send_csv
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE, page_response
from web.api.replies import canonical_json
from web.api.serializers import moment
from web.intake.phone_lists.phone_import import import_phones, read_phones
from web.operations.csv_cells import LIST_COLUMNS, cells_of_number
from web.operations.do_not_call import exported_numbers, list_filter, list_numbers, remove_numbers, start_of_previous_numbers
from web.operations.job_filter import MAX_SEARCH_CHARACTERS
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input, body_of, query_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

routes = http.RouteTableDef()

# Of one request to remove numbers, and as many as its small body holds.
MAX_REMOVED: Final = 5_000
# The digits of a number and the register it is on; 0 is the beginning of the list.
CURSOR: Final = re.compile(r"0|(?P<digits>[1-9][0-9]{1,14})\.(?P<register>0|[1-9][0-9]{0,8})", re.ASCII)


class ListQuery(Input):
    """Which numbers to list; `search` is a number or a part of one, `cursor` is that of a page beside this one."""

    search: Annotated[str, Field(max_length=MAX_SEARCH_CHARACTERS)] | None = None
    register_: Annotated[str | None, Field(max_length=MAX_NAME, alias="register")] = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str = "0"


class ExportQuery(Input):
    """Which list is exported; `mark` puts a byte order mark in front, without which Excel does not read UTF-8."""

    register_: Annotated[str | None, Field(max_length=MAX_NAME, alias="register")] = None
    mark: bool = False


class Removal(Input):
    """The numbers to be removed."""

    phones: Annotated[list[Any], Field(min_length=1, max_length=MAX_REMOVED)]


@routes.get("/api/outbound/do-not-call")
async def index(request: http.Request) -> http.Response:
    """List the numbers that are not called, by number."""
    principal = require_principal(request)
    query = query_of(request, ListQuery)
    _reject_unstorable(search=query.search, register=query.register_)
    after = _place(query.cursor)
    wanted = await list_filter(request, principal, register=query.register_, search=query.search)
    found, more = await list_numbers(request, principal, wanted, after=after, limit=query.limit)
    previous = await start_of_previous_numbers(request, principal, wanted, after=after, limit=query.limit)
    following = _cursor(found[-1].place) if more else None
    return page_response([_entry_json(entry) for entry in found], following=following, previous=_cursor(previous) if previous else None)


@routes.post("/api/outbound/do-not-call")
async def add(request: http.Request) -> http.Response:
    """Add numbers, or replace a register; none of them is called after the response."""
    return canonical_json(await import_phones(request))


@routes.delete("/api/outbound/do-not-call")
async def remove(request: http.Request) -> http.Response:
    """Take numbers off the list of the business."""
    require_principal(request, Role.OPERATOR)
    phones = await read_phones(request, (await body_of(request, Removal)).phones)
    removed = await remove_numbers(request, phones)
    return canonical_json({"removed": len(removed), "missing": len(phones) - len(removed)})


@routes.get("/api/outbound/do-not-call.csv")
async def export(request: http.Request) -> http.StreamResponse:
    """Send the list of the business, or a register, as a file that can be imported again."""
    principal = require_principal(request)
    query = query_of(request, ExportQuery)
    _reject_unstorable(register=query.register_)
    async with request.app[keys.EXPORTS].hold(principal.business_id):
        entries = await exported_numbers(request, principal, query.register_)
        return await send_csv(request, "do-not-call", LIST_COLUMNS, _rows(entries), mark=query.mark)


async def _rows(entries: AsyncIterator[ListEntry]) -> AsyncIterator[list[str | None]]:
    async for entry in entries:
        yield cells_of_number(entry)


def _entry_json(entry: ListEntry) -> dict[str, Any]:
    return {
        "phone": entry.phone,
        "register": entry.register,
        "reason": entry.reason,
        "added_at": moment(entry.added_at),
        "added_by": entry.added_by,
    }


def _place(cursor: str) -> ListPlace:
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise errors.wrong_field(name="cursor", why=Text(msgid("must be the next_cursor or previous_cursor of a page")))
    return ListPlace(f"+{match['digits']}", int(match["register"])) if match["digits"] else ListPlace()


def _cursor(place: ListPlace) -> str:
    return f"{place.phone[1:]}.{place.register_id}" if place.phone else "0"


def _reject_unstorable(**texts: str | None) -> None:
    for name, text in texts.items():
        if text is not None and not storable(text):
            raise errors.wrong_field(name=name, why=Text(msgid("must be text")))
