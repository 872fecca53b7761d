"""The do-not-call list of a business: adds and removes numbers, replaces a register, lists what is on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role
from sql.commands.requests import IdReusedError
from sql.do_not_call.do_not_call import (
    OWN_LIST,
    LaterRegisterError,
    ListFilter,
    ListPlace,
    ListRequest,
    may_replace_register,
)
from web.access.auth import require_principal
from web.operations.idempotency import request_id
from web.operations.job_filter import phone_patterns
from web.operations.paging import page_of, start_after
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.do_not_call.do_not_call import Entry, ListEntry, Register
    from web.access.auth import Principal

UNREADABLE: Final = msgid("{unreadable} of these {rows} rows have no readable phone number; the register stays as it was.")


@dataclass(frozen=True, slots=True)
class ListChange:
    """Numbers to add, or to replace `register` with; `report` goes into the answer, `digest` tells this change from a different one.

    `id` is that of the request; empty: that of its Idempotency-Key.
    """

    entries: Collection[Entry]
    report: dict[str, Any]
    digest: bytes
    register: str | None = None
    id: str = ""


def require_changer(request: http.Request, register: str | None) -> Principal:
    """The principal, who may change the list; a register needs an admin: numbers that are missing from it are called.

    Raises:
        ApiError: 401 or 403.
    """
    return require_principal(request, Role.OPERATOR if register is None else Role.ADMIN)


async def change_list(request: http.Request, change: ListChange) -> dict[str, Any]:
    """Add the numbers or replace the register; return the answer. From then on none of them is called.

    Raises:
        ApiError: 401, 403, 409 or 422.
        DatabaseUnavailableError: when it failed half-way; repeating the request is harmless.
    """
    principal = require_changer(request, change.register)
    detail = {"rejected": change.report["rejected_count"]}
    wanted = ListRequest(principal.business_id, change.id or request_id(request), change.digest, principal.actor, detail)
    lists = request.app[keys.DO_NOT_CALL]
    try:
        if change.register is None:
            return await lists.add(wanted, change.entries, change.report)
        if not may_replace_register(len(change.entries), unreadable := change.report["rejected_count"]):
            values = {"unreadable": unreadable, "rows": len(change.entries) + unreadable}
            raise ApiError(422, "no_numbers", Text(UNREADABLE, values))
        return await lists.replace_register(wanted, change.register, change.entries, change.report)
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    except LaterRegisterError:
        text = Text(msgid("A later import of this register finished first, and is in force."))
        raise ApiError(409, "invalid_state", text) from None


async def refused_rows(request: http.Request, principal: Principal, import_id: str) -> list[dict[str, Any]]:
    """The rows that an import of the last day refused, at most 10,000: `row`, `phone`, `reason` and `message` of each.

    Raises:
        ApiError: 404, when the business has made no such import.
    """
    answer = await request.app[keys.DO_NOT_CALL].answer(principal.business_id, import_id)
    if answer is None:
        raise errors.not_found()
    rows: list[dict[str, Any]] = answer["rejected"]
    return rows


async def remove_numbers(request: http.Request, phones: Sequence[str]) -> list[str]:
    """Take numbers in E.164 off the list of the business; return those that were on it.

    Raises:
        ApiError: 401 or 403; 409 when one is on a register: none is removed then.
    """
    principal = require_principal(request, Role.OPERATOR)
    removal = await request.app[keys.DO_NOT_CALL].remove(principal.business_id, phones, principal.actor)
    if removal.on_register:
        text = Text(msgid("Nothing was removed: some of these numbers are on an official register. Only its next import can remove them."))
        raise ApiError(409, "on_register", text, details=removal.on_register)
    return removal.removed


async def list_filter(request: http.Request, principal: Principal, *, register: str | None, search: str | None) -> ListFilter:
    """The numbers to list; `search` is a number, or a part of one, in any spelling."""
    if search is None:
        return ListFilter(register)
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    return ListFilter(register, phone_patterns(search, business.region if business else ""))


async def list_numbers(
    request: http.Request, principal: Principal, wanted: ListFilter, *, after: ListPlace, limit: int
) -> tuple[list[ListEntry], bool]:
    """At most `limit` numbers in force after a place in the list, and whether there are more."""
    found = await request.app[keys.DO_NOT_CALL].page(principal.business_id, wanted, after=after, limit=limit + 1)
    return page_of(found, limit)


async def start_of_previous_numbers(
    request: http.Request, principal: Principal, wanted: ListFilter, *, after: ListPlace, limit: int
) -> ListPlace | None:
    """The place after which the page before `after` begins; None when there is no such page."""
    if after == ListPlace():
        return None
    found = await request.app[keys.DO_NOT_CALL].places_before(principal.business_id, wanted, until=after, limit=limit + 1)
    return start_after(found, limit, ListPlace())


async def registers_of(request: http.Request, principal: Principal) -> list[Register]:
    """The official registers that the business has imported, with the time of the import."""
    return await request.app[keys.DO_NOT_CALL].registers(principal.business_id)


def required_registers(business: Business) -> dict[str, int]:
    """The registers without which no lead is dialled, by name; for how many days after its import each may be relied on."""
    return {each["name"]: each["max_age_days"] for each in business.required_registers}


async def exported_numbers(request: http.Request, principal: Principal, register: str | None) -> AsyncIterator[ListEntry]:
    """Every number of the business's own list, or of a register.

    Raises:
        ApiError: 404, when the business has no such register.
    """
    register_id = OWN_LIST
    if register is not None:
        found = [one.register_id for one in await registers_of(request, principal) if one.name == register]
        if not found:
            raise errors.not_found()
        [register_id] = found
    return request.app[keys.DO_NOT_CALL].export(principal.business_id, register_id)
