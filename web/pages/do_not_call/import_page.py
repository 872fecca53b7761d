"""A file of numbers for the do-not-call list, or for an official register: what was read, changed and refused."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role
from web.access.auth import require_principal
from web.api.export import send_csv
from web.intake.form import read_form
from web.intake.imports.import_request import FILE, upload
from web.intake.phone_lists.phone_import import change_of_file
from web.operations.csv_cells import REFUSED_HEADINGS, cells_of_refusal
from web.operations.do_not_call import change_list, refused_rows, registers_of, required_registers
from web.operations.idempotency import request_id
from web.operations.settings.business import own_business
from web.pages import frame
from web.pages.settings.problems import FORM, problems_of
from web.server import errors, i18n, keys
from web.server.error_responses import said
from web.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiohttp import web as http

OWN, REGISTER, REASON = "own", "register", "reason"
SHOWN_ROWS: Final = 100
# As `request_id` makes them.
IMPORT_ID: Final = re.compile(r"http:[0-9a-f-]{36,64}")
TOO_LARGE: Final = 413


@dataclass(frozen=True, slots=True)
class ListResult:
    """What an import did: rows that were read, numbers that are new, that were there before, rows that were refused, calls going on.

    `register` is the name of the register that was replaced, None for the list of the business; `shown` are the first refused rows, and
    `kept` those that can be downloaded.
    """

    id: str
    register: str | None
    added: int
    already: int
    refused: int
    in_progress: int
    kept: int
    shown: Sequence[Mapping[str, Any]]

    @property
    def rows(self) -> int:
        """The rows that were read."""
        return self.added + self.already + self.refused


async def form(request: http.Request) -> http.Response:
    """The form; `?register=` chooses a register."""
    register = request.query.get(REGISTER, "")
    return await _shown(request, {"list": REGISTER if register else OWN, REGISTER: register}, {})


async def perform(request: http.Request) -> http.Response:
    """Import the file, and show what became of it; what is wrong comes back with the form, and nothing has changed then."""
    principal = require_principal(request, Role.OPERATOR)
    texts: Mapping[str, str] = {}
    try:
        async with upload(request, principal.business_id) as body:
            sent = await asyncio.to_thread(read_form, body, request.headers.get("Content-Type", ""))
            texts = sent.texts
            register = texts.get(REGISTER, "").strip() if texts.get("list") == REGISTER else None
            reason = texts.get(REASON, "").strip() if register is None else ""
            change = await change_of_file(request, sent.part(FILE), reason=reason or None, register=register)
        change = replace(change, id=request_id(request))
        answer = await change_list(request, change)
    except ApiError as error:
        return await _shown(request, texts, _problems(request, error))
    counts = {name: answer[name] for name in ("added", "already", "in_progress")}
    rows = answer["rejected"]
    result = ListResult(change.id, register, refused=answer["rejected_count"], kept=len(rows), shown=rows[:SHOWN_ROWS], **counts)
    return await _shown(request, {"list": texts.get("list", OWN)}, {}, result)


async def download(request: http.Request) -> http.StreamResponse:
    """The refused rows of an import as a file, as long as its answer is kept."""
    principal = require_principal(request, Role.OPERATOR)
    import_id = request.match_info["import_id"]
    if not IMPORT_ID.fullmatch(import_id):
        raise errors.not_found()
    rows = await refused_rows(request, principal, import_id)

    async def cells() -> AsyncIterator[list[Any]]:
        for row in rows:
            yield cells_of_refusal(row)

    headings = [i18n.sentence(request, heading) for heading in REFUSED_HEADINGS]
    async with request.app[keys.EXPORTS].hold(principal.business_id):
        return await send_csv(request, "do-not-call-refused", headings, cells(), mark=True)


def _problems(request: http.Request, error: ApiError) -> dict[str, str]:
    """What is wrong, by field; what is about the content of the file stands beside it."""
    if error.status == TOO_LARGE:
        return {FILE: said(request, error.text)}
    problems = problems_of(request, error)
    own = {name: text for name, text in problems.items() if name in {FILE, REGISTER, REASON, FORM}}
    return own if len(own) == len(problems) else {**own, FILE: said(request, error.text)}


async def _shown(
    request: http.Request, texts: Mapping[str, str], problems: Mapping[str, str], result: ListResult | None = None
) -> http.Response:
    principal = require_principal(request, Role.OPERATOR)
    return await frame.render(
        request,
        "do_not_call/import.html",
        status=422 if problems else 200,
        form=texts,
        problems=problems,
        result=result,
        registers=await registers_of(request, principal),
        required=required_registers(await own_business(request, principal)),
    )
