"""What is kept with a run of the list it was loaded from: its columns, and the rows that were left out or whose number was adjusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sql.runs.load_reports import DUPLICATE, READ_AS, REJECTED, ListReport, ReportRow
from web.intake.phone_sentences import SENTENCES as SENTENCES_OF_PHONES
from web.intake.rows import REASONS, shown_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sql.runs.changes import KnownLead
    from sql.runs.new_lead import NewLead
    from web.intake.rows import CheckedRows

MAX_VALUE_CHARACTERS: Final = 255
# Of every reason why a row is rejected.
SENTENCES: Final[Mapping[str, str]] = {**REASONS, **{str(reason): sentence for reason, sentence in SENTENCES_OF_PHONES.items()}}


def load_report(rows: CheckedRows, known: Mapping[int, KnownLead] | None = None) -> ListReport:
    """What became of these rows; `known` are the accepted leads that the run has already, by their index."""
    known = known or {}
    reported = sorted([*_reported(rows, known)], key=lambda row: row.row)
    return ListReport(rows.count - len(known), reported, rows.columns)


def _reported(rows: CheckedRows, known: Mapping[int, KnownLead]) -> Iterator[ReportRow]:
    for bad in rows.rejected:
        yield ReportRow(
            bad.row, REJECTED, bad.lead_id, bad.phone, str(bad.reason), {name: _plain(it) for name, it in bad.text.values.items()}
        )
    for again in rows.duplicates:
        yield ReportRow(again.row, DUPLICATE, again.lead_id, again.phone, None, {"same_as": again.same_as, "by": again.by})
    for n, lead in known.items():
        yield ReportRow(
            rows.numbers[n], DUPLICATE, _id_of(rows.accepted[n]), rows.accepted[n].phone, None, {"same_as": lead.same_as, "by": lead.by}
        )
    dropped = {rows.numbers[n] for n in known}
    for change in rows.read_as:
        if change.row not in dropped:
            yield ReportRow(change.row, READ_AS, change.lead_id, change.phone, None, {"read_as": change.read_as})


def _id_of(lead: NewLead) -> int | str | None:
    return lead.external_id if lead.external_id is not None else lead.lead_id


def _plain(value: object) -> Any:  # noqa: ANN401 - what JSON has
    return value if isinstance(value, int) else shown_text(str(value), MAX_VALUE_CHARACTERS)
