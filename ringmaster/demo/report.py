"""The tables that a demo prints: the outcomes of the leads, and the rows of a file that were not accepted, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringmaster.demo.accounting import Results

ROWS_SHOWN = 20  # of the rows of a file that were not accepted

MEASURES = (
    ("total", "total"),
    ("answered", "answered"),
    ("voicemail", "voicemail"),
    ("busy", "busy"),
    ("no answer", "no_answer"),
    ("failed", "failed"),
    ("cancelled", "cancelled"),
    ("skipped", "skipped"),
)


@dataclass(frozen=True, slots=True)
class SummaryColumn:
    """A run's column: its results, its duration, and how many rows of its file were not accepted."""

    name: str
    results: Results
    seconds: float
    rejected: int
    duplicates: int


def table(columns: Sequence[SummaryColumn]) -> Table:
    """The outcomes of the leads of each run."""
    output = Table(title="How the leads ended", title_justify="left")
    output.add_column("")
    for column in columns:
        output.add_column(Text(column.name), justify="right")
    for title, name in MEASURES:
        output.add_row(title, *(str(getattr(column.results, name)) for column in columns))
    output.add_section()
    output.add_row("called again", *(str(column.results.called_again) for column in columns))
    output.add_row("calls", *(str(column.results.calls) for column in columns))
    output.add_row("duration", *(f"{column.seconds:.1f} s" for column in columns))
    output.add_row("most calls at once", *(str(column.results.most_at_once) for column in columns))
    output.add_row("rows rejected", *(str(column.rejected) for column in columns))
    output.add_row("rows twice", *(str(column.duplicates) for column in columns))
    return output


def rejected_rows(name: str, rejected: Sequence[dict[str, Any]], duplicates: Sequence[dict[str, Any]]) -> Table:
    """The rows of a file that were not accepted, with the reason."""
    output = Table(title=Text(f"Rows not accepted: {name}"), title_justify="left")
    for heading in ("row", "lead", "phone", "reason"):
        output.add_column(heading, overflow="fold")
    rows = [(row, str(row.get("message") or row["reason"])) for row in rejected] + [
        (row, f"the same as lead {row['same_as']}") for row in duplicates
    ]
    rows.sort(key=lambda entry: int(entry[0]["row"]))
    for row, reason in rows[:ROWS_SHOWN]:
        output.add_row(*(Text(str(cell if cell is not None else "")) for cell in (row["row"], row["lead_id"], row["phone"], reason)))
    if len(rows) > ROWS_SHOWN:
        output.add_row("...", "", "", f"and {len(rows) - ROWS_SHOWN} more")
    return output
