"""A new run: a file or pasted rows go in, and what was not accepted comes out, before anybody is called.

On the road of a call: 1, where its lead comes in.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role, RunStatus
from web.access import auth
from web.intake.encoding import decoded, pieces
from web.intake.form import Place, read_form
from web.intake.importer import FORM, form_settings, load, of_table, upload
from web.pages import frame
from web.server import errors, i18n, keys
from web.server.error_responses import said
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web as http

    from web.access.auth import Principal
    from web.intake.encoding import Source
    from web.intake.importer import ImportRequest
    from web.intake.received import ReceivedBody

# A file with a mistake is put into the form to be mended there, up to this size.
MAX_MENDED_CHARACTERS: Final = 100_000
MAX_SHOWN_ROWS: Final = 200
MAX_KEY_CHARACTERS: Final = 100
MAX_FILE_NAME_CHARACTERS: Final = 200
CLIENT_ERROR: Final = range(400, 500)
SETTINGS: Final = ("name", "concurrency", "start")


@dataclass(frozen=True, slots=True)
class FormValues:
    """What stands in the form; `key` makes the same form sent twice one run."""

    key: str
    name: str = ""
    text: str = ""
    concurrency: str = ""
    start: str = "0"


@dataclass(frozen=True, slots=True)
class Submission:
    """What a browser has sent: the form, where to read the leads, their size in bytes, and the name of their file, empty when pasted."""

    typed: FormValues
    leads: Source
    size: int
    file_name: str


async def ask(request: http.Request) -> http.Response:
    """The empty form."""
    who = auth.principal(request, Role.OPERATOR)
    return await _form(request, who, FormValues(request.app[keys.IDS].nonce()))


async def take(request: http.Request) -> http.Response:
    """Load the run and report what was left out; with a mistake, the form comes back as it was."""
    who = auth.principal(request, Role.OPERATOR)
    sent = Submission(FormValues(request.app[keys.IDS].nonce()), pieces(b""), 0, "")
    try:
        async with upload(request, who.business_id) as body:
            sent = await asyncio.to_thread(_sent, request, body)
            try:
                answer = await load(request, who, await asyncio.to_thread(_asked, who, sent))
            except ApiError:
                sent = await asyncio.to_thread(_to_mend, sent)
                raise
    except ApiError as error:
        if error.status not in CLIENT_ERROR:
            raise
        return await _form(request, who, sent.typed, error, sent.file_name)
    run = {"run_id": answer["run_id"], "status": RunStatus(answer["status"])}
    return await frame.render(request, "loaded.html", status=201, run=run, **_report(answer))


def _sent(request: http.Request, body: ReceivedBody) -> Submission:
    if request.content_type != FORM:
        raise ApiError(400, "malformed_form", Text(msgid("The form cannot be read.")))
    form = read_form(body, request.headers["Content-Type"])
    key = form.texts.get("key", "")[:MAX_KEY_CHARACTERS] or request.app[keys.IDS].nonce()
    typed = FormValues(key, *(form.texts.get(name, "") for name in ("name", "text", "concurrency", "start")))
    file, pasted = form.places.get("file"), form.places.get("text")
    if file and file.file_name:
        return Submission(typed, *_at(body, file), file.file_name[:MAX_FILE_NAME_CHARACTERS])
    if pasted:
        return _to_mend(Submission(typed, *_at(body, pasted), ""))
    text = typed.text.encode(errors="replace")
    return Submission(typed, pieces(text), len(text), "")


def _at(body: ReceivedBody, place: Place) -> tuple[Source, int]:
    return body.source(place.start, place.end), place.end - place.start


def _asked(who: Principal, sent: Submission) -> ImportRequest:
    if not any(piece.strip() for piece in sent.leads()):
        raise ApiError(422, "no_leads", Text(msgid("Choose a file with leads, or paste their rows.")))
    asked = of_table(form_settings({name: getattr(sent.typed, name).strip() for name in SETTINGS}), sent.leads)
    # Another file in the same form is another run.
    digest = hashlib.sha256(b"|".join((who.actor.encode(), sent.typed.key.encode(errors="replace"), asked.digest)))
    return dataclasses.replace(asked, request_id=f"form:{digest.hexdigest()}")


def _to_mend(sent: Submission) -> Submission:
    """The form again, with the rows of a file that can be read, so that they can be mended in place."""
    if sent.size > MAX_MENDED_CHARACTERS or sent.typed.text:
        return sent
    try:
        return dataclasses.replace(sent, typed=dataclasses.replace(sent.typed, text="".join(decoded(sent.leads))))
    except ApiError:
        return sent


async def _form(
    request: http.Request, who: Principal, typed: FormValues, error: ApiError | None = None, file_name: str = ""
) -> http.Response:
    business = await request.app[keys.BUSINESSES].get(who.business_id)
    if business is None:
        raise errors.not_found()
    details: Sequence[Mapping[str, Any]] = [said(request, dict(detail)) for detail in error.details] if error else []
    rows = [detail for detail in details if "row" in detail]
    report = {"rejected": [row for row in rows if "message" in row], "duplicates": [row for row in rows if "same_as" in row]}
    return await frame.render(
        request,
        "new.html",
        status=error.status if error else 200,
        form=typed if typed.concurrency else dataclasses.replace(typed, concurrency=str(business.max_calls)),
        max_calls=business.max_calls,
        fault=i18n.sentence(request, error.text.text, **said(request, dict(error.text.values))) if error else "",
        details=[detail for detail in details if "row" not in detail and detail.get("field") != "file"],
        file_name=file_name,
        **_report(report),
    )


def _report(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "accepted": answer.get("accepted", 0),
        "rejected": answer["rejected"],
        "duplicates": answer["duplicates"],
        # Answers that were remembered before there was such a list have none.
        "read_as": answer.get("read_as", []),
        "most_rows": MAX_SHOWN_ROWS,
    }
