"""The rows of a workbook once it is unpacked: a line of JSON each, a list of texts, null for one that is too long."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from web.intake.csv_records import RecordFault, UnreadableRecord
from web.intake.tables.layout import by_headings
from web.intake.tables.table_rows import leads_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.intake.csv_records import Record
    from web.intake.encoding import Source
    from web.intake.tables.layout import Finder


def rows_of_lines(source: Source, find: Finder = by_headings) -> Iterator[tuple[int, object]]:
    """The rows as leads, each with its number, as a spreadsheet shows it; `find` finds the header.

    Raises:
        ApiError: 422 when there is no header, 413 when there are too many rows.
    """
    records = records_of_lines(source)
    layout = find(records)
    yield from leads_of(records, layout, layout.above + 1, padded=True)


def records_of_lines(source: Source) -> Iterator[Record]:
    """All rows from row 1 on."""
    rest = b""
    for piece in source():
        *lines, rest = (rest + piece).split(b"\n")
        yield from map(_record, lines)


def _record(line: bytes) -> Record:
    cells: list[str] | None = json.loads(line)
    if cells is None:
        return UnreadableRecord(RecordFault.TOO_LONG, [])
    if b"\\u0000" in line and any("\x00" in cell for cell in cells):
        return UnreadableRecord(RecordFault.NUL, cells[: next(n for n, cell in enumerate(cells) if "\x00" in cell)])
    return cells
