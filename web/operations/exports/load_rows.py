"""The rows of a load report in the reader's language: why each was left out, or how its number was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sql.runs.load_reports import DUPLICATE, READ_AS, REJECTED
from web.operations.csv_cells import escaped
from web.server.error_responses import said_in
from web.server.errors import Text
from web.server.i18n import msgid, translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sql.runs.load_reports import ReportRow
    from web.server.i18n import Language

HEADINGS: Final = (msgid("List"), msgid("Row"), msgid("Lead"), msgid("Phone"), msgid("What happened"), msgid("Reason"))
KIND_LABELS: Final[Mapping[str, str]] = {
    REJECTED: msgid("Cannot be called"),
    DUPLICATE: msgid("Twice in the list"),
    READ_AS: msgid("Number adjusted"),
}
SAME_ID: Final = msgid("Has the ID of lead {same_as}.")
SAME_PHONE: Final = msgid("Has the phone number of lead {same_as}.")
READ: Final = msgid("Will be dialled as {read_as}.")


def sentence_of(row: ReportRow, sentences: Mapping[str, str]) -> Text:
    """Why a row was left out, or how its number was read; `sentences` are those of the reasons. An unknown reason is its own sentence."""
    if row.kind == DUPLICATE:
        return Text(SAME_ID if row.detail.get("by") == "lead" else SAME_PHONE, {"same_as": row.detail.get("same_as")})
    if row.kind == READ_AS:
        return Text(READ, {"read_as": row.detail.get("read_as")})
    sentence = sentences.get(row.reason or "")
    return Text(sentence, row.detail) if sentence else Text("{reason}", {"reason": row.reason})


def headings(language: Language) -> list[str]:
    """The first row of the file."""
    return [translate(language, text) for text in HEADINGS]


def csv_rows(rows: Iterable[ReportRow], sentences: Mapping[str, str], language: Language) -> list[list[object]]:
    """The rows as those of a CSV file, in which no text is a formula."""
    return [
        [
            row.number,
            row.row,
            escaped(row.lead_id) if isinstance(row.lead_id, str) else row.lead_id,
            row.phone if row.kind == DUPLICATE else escaped(row.phone),
            translate(language, KIND_LABELS.get(row.kind, row.kind)),
            said_in(language, sentence_of(row, sentences)),
        ]
        for row in rows
    ]
