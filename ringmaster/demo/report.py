"""What is printed at the end of a demo: how the leads ended, and the rows that were never dialled, with the reason.

Beside the road of a call: after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringmaster.demo.accounting import Results

ROWS_SHOWN = 20  # of the refused ones of a file

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
    """A run's column: its results, how long it took, and how many rows of its file were not taken."""

    name: str
    results: Results
    seconds: float
    rejected: int
    duplicates: int


def table(columns: Sequence[SummaryColumn]) -> Table:
    """How the leads of each run ended."""
    found = Table(title="How the leads ended", title_justify="left")
    found.add_column("")
    for column in columns:
        found.add_column(Text(column.name), justify="right")
    for title, name in MEASURES:
        found.add_row(title, *(str(getattr(column.results, name)) for column in columns))
    found.add_section()
    found.add_row("duration", *(f"{column.seconds:.1f} s" for column in columns))
    found.add_row("most calls at once", *(str(column.results.most_at_once) for column in columns))
    found.add_row("rows rejected", *(str(column.rejected) for column in columns))
    found.add_row("rows twice", *(str(column.duplicates) for column in columns))
    return found


def refused(name: str, rejected: Sequence[dict[str, Any]], duplicates: Sequence[dict[str, Any]]) -> Table:
    """The rows of a file that were not taken, with the reason."""
    found = Table(title=Text(f"Rows not taken: {name}"), title_justify="left")
    for heading in ("row", "lead", "phone", "reason"):
        found.add_column(heading, overflow="fold")
    rows = [(row, str(row.get("message") or row["reason"])) for row in rejected] + [
        (row, f"the same as lead {row['same_as']}") for row in duplicates
    ]
    rows.sort(key=lambda entry: int(entry[0]["row"]))
    for row, reason in rows[:ROWS_SHOWN]:
        found.add_row(*(Text(str(cell if cell is not None else "")) for cell in (row["row"], row["lead_id"], row["phone"], reason)))
    if len(rows) > ROWS_SHOWN:
        found.add_row("...", "", "", f"and {len(rows) - ROWS_SHOWN} more")
    return found
