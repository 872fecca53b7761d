"""The do-not-call list: search, add, take off; each number with who added it, when and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role
from sql.do_not_call.do_not_call import ListPlace
from sql.stored_text import storable
from web.access.auth import require_principal
from web.intake.phone_lists.phone_import import add_phones, read_phones
from web.operations.do_not_call import (
    list_filter,
    list_numbers,
    registers_of,
    remove_numbers,
    required_registers,
    start_of_previous_numbers,
)
from web.operations.explanations.principal_labels import name_of
from web.operations.job_filter import LEAST_DIGITS, MAX_SEARCH_CHARACTERS
from web.operations.settings.business import own_business
from web.pages import forms, frame, notices
from web.pages.settings.problems import joined, problems_of
from web.server.error_responses import translated
from web.server.errors import ApiError, counted
from web.server.i18n import msgid, msgids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web as http

    from web.access.auth import Principal

PAGE: Final = "/do-not-call"
PAGE_NUMBERS: Final = 50
# What was typed, kept apart from a sentence of the other direction.
ISOLATED: Final = "\N{FIRST STRONG ISOLATE}{}\N{POP DIRECTIONAL ISOLATE}"
ADDED: Final = msgids("{n} number was added to the list.", "{n} numbers were added to the list.")
ALREADY: Final = msgids("{n} number was on it before.", "{n} numbers were on it before.")
REMOVED: Final = msgid("The number is off the list. Leads that were left out because of it stay so.")
NOT_REMOVED: Final = msgid("The number is on an official register; only its next import can take it off.")


async def page(request: http.Request) -> http.Response:
    """The whole page."""
    return await _shown(request, {}, {})


async def add(request: http.Request) -> http.Response:
    """Add the numbers of the form, a line each; what is no number comes back with the form, and nothing is added then."""
    require_principal(request, Role.OPERATOR)
    form = await forms.read(request)
    cells = [line.strip() for line in form.get("phones", "").splitlines() if line.strip()]
    try:
        answer = await add_phones(request, cells, form.get("reason", "").strip() or None)
    except ApiError as error:
        return await _shown(request, form, _problems(request, error, cells))
    added, already = answer["added"], answer["already"]
    following = (counted(ALREADY, already, n=already),) if already else ()
    return notices.redirect(request, PAGE, replace(counted(ADDED, added, n=added), then=following))


async def remove(request: http.Request) -> http.Response:
    """Take a number off the list."""
    require_principal(request, Role.OPERATOR)
    phones = await read_phones(request, [(await forms.read(request)).get("phone", "")])
    try:
        await remove_numbers(request, phones)
    except ApiError as error:
        return notices.redirect_conflict(request, error, PAGE, NOT_REMOVED)
    return notices.redirect(request, PAGE, REMOVED)


def _problems(request: http.Request, error: ApiError, cells: Sequence[str]) -> Mapping[str, str]:
    """As `problems_of`; a sentence about a line begins with that line."""
    problems = problems_of(request, error)
    lines = [
        f"{ISOLATED.format(cells[int(place)])}: {translated(request, detail['message'])}"
        for detail in error.details
        if (place := str(detail.get("field", "")).removeprefix("phones.")).isdigit() and int(place) < len(cells)
    ]
    return {**problems, "phones": joined(lines)} if lines else problems


async def _shown(request: http.Request, form: Mapping[str, str], problems: Mapping[str, str]) -> http.Response:
    principal = require_principal(request)
    values = {"form": form, "problems": problems, **await _values(request, principal)}
    return await frame.render(request, "do_not_call/list.html", status=422 if problems else 200, **values)


async def _values(request: http.Request, principal: Principal) -> dict[str, Any]:
    search = request.query.get("search", "").strip()[:MAX_SEARCH_CHARACTERS]
    search = search if storable(search) else ""
    wanted = await list_filter(request, principal, register=None, search=search or None)
    after = _place(request)
    entries, more = await list_numbers(request, principal, wanted, after=after, limit=PAGE_NUMBERS)
    before = await start_of_previous_numbers(request, principal, wanted, after=after, limit=PAGE_NUMBERS)
    names = {by: translated(request, await name_of(request, principal.business_id, by)) for by in {e.added_by for e in entries} if by}
    address = request.rel_url.with_path(PAGE).with_query({"search": search} if search else {})
    return {
        "search": search,
        "too_short": bool(search) and sum(map(str.isdecimal, search)) < LEAST_DIGITS,
        "entries": entries,
        "names": names,
        "registers": await registers_of(request, principal),
        "required": required_registers(await own_business(request, principal)),
        "next": address.update_query(after=entries[-1].phone, register=entries[-1].register_id) if more else None,
        "previous": address.update_query(after=before.phone, register=before.register_id) if before else None,
    }


def _place(request: http.Request) -> ListPlace:
    phone, register = request.query.get("after", ""), request.query.get("register", "0")
    valid = phone.removeprefix("+").isascii() and phone.removeprefix("+").isdigit() and register.isascii() and register.isdigit()
    return ListPlace(phone, int(register[:9])) if valid else ListPlace()
