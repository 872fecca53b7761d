"""What a browser sends with the form for a new run: the values of the form, and the file or the pasted rows."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from web.intake.encoding import decoded
from web.intake.form import Part, read_form
from web.intake.imports.import_request import import_of_table
from web.operations.settings.run_fields import settings_of_texts
from web.server import keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.access.auth import Principal
    from web.intake.imports.import_request import ImportRequest
    from web.intake.received import ReceivedBody

# A file with a mistake is copied into the form to be corrected there, up to this size.
MAX_EDITABLE_CHARACTERS: Final = 100_000
MAX_KEY_CHARACTERS: Final = 100
SETTINGS: Final = ("name", "concurrency", "start")


@dataclass(frozen=True, slots=True)
class FormValues:
    """The values of the form; because of `key` the same form sent twice creates one run."""

    key: str
    name: str = ""
    text: str = ""
    concurrency: str = ""
    start: str = "0"


@dataclass(frozen=True, slots=True)
class Submission:
    """A form that was sent: its values, and the leads, as a file or as pasted rows."""

    values: FormValues
    leads: Part


def empty_submission(request: http.Request) -> Submission:
    """A form with nothing in it, and a new key."""
    return Submission(FormValues(request.app[keys.IDS].nonce()), Part.of_text(""))


def read_submission(request: http.Request, body: ReceivedBody) -> Submission:
    """The form in a received body; blocks on disk.

    Raises:
        ApiError: 400, when it is not a form.
    """
    form = read_form(body, request.headers.get("Content-Type", ""))
    key = form.texts.get("key", "")[:MAX_KEY_CHARACTERS] or request.app[keys.IDS].nonce()
    values = FormValues(key, *(form.texts.get(name, "") for name in ("name", "text", "concurrency", "start")))
    file = form.part("file")
    if file and file.file_name:
        return Submission(values, file)
    return editable(Submission(values, form.part("text") or Part.of_text("")))


def import_of(principal: Principal, submission: Submission) -> ImportRequest:
    """The import this form asks for; blocks on disk.

    Raises:
        ApiError: 422, when there are no leads, or a setting is wrong.
    """
    source = submission.leads.source
    if not any(piece.strip() for piece in source()):
        raise ApiError(422, "no_leads", Text(msgid("Choose a file with leads, or paste rows.")))
    settings = settings_of_texts({name: getattr(submission.values, name).strip() for name in SETTINGS})
    request = import_of_table(settings, source)
    # The same form with another file is another run.
    digest = hashlib.sha256(b"|".join((principal.actor.encode(), submission.values.key.encode(errors="replace"), request.digest)))
    return dataclasses.replace(request, request_id=f"form:{digest.hexdigest()}")


def editable(submission: Submission) -> Submission:
    """The form with the rows of a readable file as text, so that they can be corrected in place; blocks on disk."""
    if submission.leads.size > MAX_EDITABLE_CHARACTERS or submission.values.text:
        return submission
    try:
        text = "".join(decoded(submission.leads.source))
    except ApiError:
        return submission
    return dataclasses.replace(submission, values=dataclasses.replace(submission.values, text=text))
