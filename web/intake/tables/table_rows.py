"""Turns the rows of a table into leads, by its layout; a row that cannot be read is rejected, and the others are kept.

Every row must have as many cells as the header: a delimiter without quotes (`Cohen, Dana`) or a missing cell moves the cells after it
into other columns, and a fax number into the column of the phone. For the same reason no row after a second header is read. In a sheet no
cell can move; its rows end with their last cell that is not empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from dialer.model import BIGINT_MAX
from web.intake.csv_records import RecordFault, UnreadableRecord
from web.intake.row_shape import QUOTE
from web.intake.rows import FIELDS, MAX_LEADS, BadRowCellsError, RowId, too_many
from web.intake.tables.headings import Role, role_of
from web.intake.tables.layout import INVISIBLE, MAX_HEADER_CHARACTERS, column_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from web.intake.csv_records import Record
    from web.intake.tables.layout import Layout

# Including blank ones: a spreadsheet exports every row it has ever touched.
MAX_LINES: Final = 2_000_000
# The columns that are fields of a lead; any other becomes one of its variables.
COLUMNS: Final = FIELDS - {"variables"}
# A word that the name of a column has, whatever is between its words.
NAMED: Final = ("lead", "phone", "name", "zone")
# How a spreadsheet marks an id as text; and an id it has turned into a float.
TEXT_MARKS: Final = re.compile(r"""'(?P<quoted>.+)|="(?P<formula>[^"]+)\"""")
INTEGER: Final = re.compile(r"(?P<whole>0|[1-9][0-9]{0,18})(?P<float>\.0)?", re.ASCII)
# A cell that ends with one is no heading that ends otherwise.
DIGITS: Final = frozenset("0123456789")
# Any number with this many digits fits.
MAX_PLAIN_DIGITS: Final = 18
# Beyond this a float has lost digits.
EXACT_MAX: Final = 2**53


def leads_of(records: Iterable[Record], layout: Layout, first: int, *, padded: bool = False) -> Iterator[tuple[int, object]]:
    """The rows below the header as leads, each with its number; `first` is that of the first one.

    `padded`: a row ends with its last cell that is not empty, as in a workbook, and the others are blank.

    Raises:
        ApiError: 413, when there are too many.
    """
    rows = 0
    again = False
    headers = _Headers(layout)
    for number, record in enumerate(records, start=first):
        if isinstance(record, list) and not any(cell and not cell.isspace() for cell in record):
            if number > MAX_LINES:
                raise too_many()
            continue
        rows += 1
        if rows > MAX_LEADS:
            raise too_many()
        again = again or headers.has(record)
        yield number, BadRowCellsError({}, "second_header") if again else _row(layout, number, record, padded=padded)


class _Headers:
    """Recognizes a row below the header that names columns again."""

    def __init__(self, layout: Layout) -> None:
        self._phone = layout.phone
        self._heading = column_name(layout.headings[layout.phone]) if layout.headings else ""

    def has(self, record: Record) -> bool:
        if not isinstance(record, list):
            return False
        text = "".join(record)
        # Most rows have a number and no such word. A name may have invisible marks in it, so each cell with other letters is looked at.
        if text.isascii() and text.isprintable() and sum(map(text.lower().count, NAMED)) < len(("lead_id", "phone")):
            return self._repeats(record)
        return len({column_name(cell) for cell in record} & COLUMNS) > 1 or self._repeats(record) or self._names(record)

    def _repeats(self, record: list[str]) -> bool:
        """Whether the phone of this row is the heading of its column."""
        if self._phone >= len(record) or not self._heading:
            return False
        cell = record[self._phone]
        if cell[-1:] in DIGITS and len(cell) <= MAX_HEADER_CHARACTERS and self._heading[-1] not in DIGITS:
            return False
        return column_name(cell) == self._heading

    def _names(self, record: list[str]) -> bool:
        """Whether the cell of the phone has no digit, and this cell and others are headings."""
        cell = record[self._phone] if self._phone < len(record) else ""
        if not cell or any(letter.isdecimal() for letter in cell):
            return False
        roles = {heading.role for heading in map(role_of, record) if heading}
        return Role.PHONE in roles and len(roles) > 1


def _row(layout: Layout, number: int, record: Record, *, padded: bool) -> object:
    if isinstance(record, UnreadableRecord):
        return BadRowCellsError(_own(layout, number, record.beginning), record.fault)
    columns = len(layout.names)
    cells = [*record, *[""] * (columns - len(record))] if padded else record
    row = _own(layout, number, cells)
    if len(cells) != columns and not (padded and not any(map(str.strip, cells[columns:]))):
        return BadRowCellsError(row, "wrong_columns", cells=len(cells), columns=columns)
    if not padded and any(cell and not cell.isspace() for cell in cells[layout.named :]):
        return BadRowCellsError(row, "wrong_columns", cells=len(cells), columns=layout.named)
    if QUOTE in str(row.get("lead_id", "")):
        # A stray quotation mark would turn it into another lead_id.
        return BadRowCellsError(row, RecordFault.QUOTES)
    variables = {layout.names[n]: text for n in layout.variables if (text := cells[n].strip())}
    return {**row, "variables": variables} if variables else row


def _own(layout: Layout, number: int, cells: list[str]) -> dict[str, Any]:
    """The fields of the lead that its row has; in a row that is broken off, those before the fault."""
    count = len(cells)
    row: dict[str, Any] = {}
    if layout.lead_id < 0:
        row["lead_id"] = RowId(number)
    elif layout.lead_id < count and (text := cells[layout.lead_id].strip()):
        row["lead_id"] = lead_id_of(text)
    if layout.phone < count and (text := cells[layout.phone].strip()):
        row["phone"] = text
    if name := " ".join(text for n in layout.name_parts if n < count and (text := cells[n].strip())):
        row["name"] = name
    if 0 <= layout.timezone < count and (text := INVISIBLE.sub("", cells[layout.timezone]).strip()):
        row["timezone"] = text
    return row


def lead_id_of(cell: str) -> int | str:
    """An integer if it is written without leading zeros, a trailing `.0` allowed; anything else is text, without spreadsheet marks."""
    if cell.isascii() and cell.isdigit() and cell[0] != "0" and len(cell) < MAX_PLAIN_DIGITS:
        return int(cell)
    text = INVISIBLE.sub("", cell).strip()
    marked = TEXT_MARKS.fullmatch(text)
    if marked:
        text = (marked["quoted"] or marked["formula"]).strip()
    whole = INTEGER.fullmatch(text)
    if whole and int(whole["whole"]) <= (EXACT_MAX if whole["float"] else BIGINT_MAX):
        return int(whole["whole"])
    return text
