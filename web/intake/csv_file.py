"""Reads leads from a CSV file: finds the delimiter and the header, and yields the rows.

The header is the first row that names the columns lead_id and phone; before it there may be Excel's line `sep=;`, blank lines and a title.
Columns without a name are skipped. A row that cannot be read is rejected, and the others are kept.

Every row must have as many cells as the header: a delimiter without quotes (`Cohen, Dana`) or a missing cell moves the cells after it
into other columns, and a fax number into the column of the phone. For the same reason no row after a second header is read.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from dialer.model import BIGINT_MAX
from web.intake.csv_records import RecordFault, Records, UnreadableRecord, lines_of
from web.intake.encoding import decoded
from web.intake.row_shape import QUOTE, RowShape
from web.intake.rows import FIELDS, MAX_LEADS, BadRowCellsError, too_many
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from web.intake.csv_records import Record
    from web.intake.encoding import Source

DELIMITERS: Final = (",", ";", "\t", "|")
MAX_HEADER_CHARACTERS: Final = 100
# The header must be within the first lines.
MAX_TITLE_LINES: Final = 20
# Including blank ones: a spreadsheet exports every row it has ever touched.
MAX_LINES: Final = 2_000_000
REQUIRED: Final = ("lead_id", "phone")
# The columns that are fields of a lead; any other becomes one of its variables.
COLUMNS: Final = FIELDS - {"variables"}
SEPARATOR_LINE: Final = re.compile(r'"?sep=(?P<mark>[^\w\s"]|\t)"?[,;\t|]*', re.ASCII | re.IGNORECASE)
INVISIBLE: Final = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\x00]")
NOT_IN_NAMES: Final = re.compile(r"[\s-]")
# How a spreadsheet marks an id as text; and an id it has turned into a float.
TEXT_MARKS: Final = re.compile(r"""'(?P<quoted>.+)|="(?P<formula>[^"]+)\"""")
INTEGER: Final = re.compile(r"(?P<whole>0|[1-9][0-9]{0,18})(?P<float>\.0)?", re.ASCII)
# Any number with this many digits fits.
MAX_PLAIN_DIGITS: Final = 18
# Beyond this a float has lost digits.
EXACT_MAX: Final = 2**53


def rows_of(source: Source) -> Iterator[tuple[int, object]]:
    """The rows of a file as leads, each with its number: row 1 is the first of the file, as a spreadsheet shows it.

    Raises:
        ApiError: 422 when the file cannot be read as leads, 413 when it has too many rows.
    """
    lines = lines_of(decoded(source))
    top = list(islice(lines, MAX_TITLE_LINES))
    delimiter = separator_line(top) or delimiter_of(top)
    records = Records(chain(top, lines), RowShape(delimiter))
    above, header = _header(records)
    records.shape = RowShape(delimiter, len(header), header.index("lead_id"), header.index("phone"))
    rows = 0
    again = False
    for number, record in enumerate(records, start=above + 2):
        if isinstance(record, list) and not any(cell and not cell.isspace() for cell in record):
            if number > MAX_LINES:
                raise too_many()
            continue
        rows += 1
        if rows > MAX_LEADS:
            raise too_many()
        again = again or _is_header(record)
        yield number, BadRowCellsError({}, "second_header") if again else _row(header, record)


def separator_line(top: list[str | None]) -> str | None:
    """The delimiter named by Excel's line `sep=;`, which is removed from `top`, because Excel does not count it as a row."""
    match = SEPARATOR_LINE.fullmatch(INVISIBLE.sub("", top[0])) if top and top[0] else None
    if match is None:
        return None
    del top[0]
    return match["mark"]


def delimiter_of(top: Sequence[str | None], columns: frozenset[str] = COLUMNS) -> str:
    """The delimiter that gives the most known columns in one of these lines, or else the most frequent one in the first line."""

    def known(mark: str, line: str) -> int:
        return len({column_name(cell) for cell in line.split(mark)} & columns)

    lines = [line for line in top if line and not line.isspace()]
    return max(DELIMITERS, key=lambda mark: (max((known(mark, line) for line in lines), default=0), lines[0].count(mark) if lines else 0))


def _header(records: Records) -> tuple[int, list[str]]:
    """The number of rows above the header, and the names of the columns, empty for a column to be skipped.

    Raises:
        ApiError: 422, when there is no header, or its columns are ambiguous.
    """
    first: list[str] = []
    for above, record in enumerate(islice(records, MAX_TITLE_LINES)):
        names = [column_name(cell) for cell in record] if isinstance(record, list) else []
        if set(REQUIRED) <= set(names):
            return above, _distinct(names)
        first = first or [name for name in names if name]
    missing = [name for name in REQUIRED if name not in first]
    text = Text(msgid("The first line must name the columns; these are missing: {columns}."), {"columns": ", ".join(missing)})
    why = Text(msgid("is missing"))
    raise ApiError(422, "missing_column", text, details=[{"field": name, "message": why} for name in missing])


def _is_header(record: Record) -> bool:
    """Whether a row below the header names columns again."""
    return isinstance(record, list) and len({column_name(cell) for cell in record} & COLUMNS) >= len(REQUIRED)


def _distinct(names: list[str]) -> list[str]:
    """The names made distinct: a field of a lead must not appear twice; any other repeated name gets a number."""
    distinct: list[str] = []
    for name in names:
        count = names[: len(distinct)].count(name)
        if count and name in COLUMNS:
            text = Text(msgid("This column appears twice in the header."))
            raise ApiError(422, "wrong_header", text, details=[{"field": name, "message": text}])
        distinct.append(f"{name}_{count + 1}" if name and count else name)
    return distinct


def _row(header: list[str], record: Record) -> object:
    if isinstance(record, UnreadableRecord):
        return BadRowCellsError(_own(header, record.beginning), record.fault)
    row = _own(header, record)
    if len(record) != len(header):
        return BadRowCellsError(row, "wrong_columns", cells=len(record), columns=len(header))
    named = _named(header)
    if any(cell and not cell.isspace() for cell in record[named:]):
        return BadRowCellsError(row, "wrong_columns", cells=len(record), columns=named)
    if QUOTE in str(row.get("lead_id", "")):
        # A stray quotation mark would turn it into another lead_id.
        return BadRowCellsError(row, RecordFault.QUOTES)
    variables = {name: text for name, cell in zip(header, record, strict=False) if name and name not in COLUMNS and (text := cell.strip())}
    return {**row, "variables": variables} if variables else row


def _named(header: list[str]) -> int:
    """The number of columns up to the last one with a name."""
    return max(number for number, name in enumerate(header, start=1) if name)


def _own(header: list[str], cells: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: text for name, cell in zip(header, cells, strict=False) if name in COLUMNS and (text := cell.strip())}
    if "lead_id" in row:
        row["lead_id"] = _lead_id(row["lead_id"])
    if "timezone" in row:
        row["timezone"] = INVISIBLE.sub("", row["timezone"]).strip()
    return row


def _lead_id(cell: str) -> int | str:
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


def column_name(cell: str) -> str:
    """The name of a column: lower case, without marks and spaces."""
    name = INVISIBLE.sub("", cell).strip().strip('"').strip().lower()
    return NOT_IN_NAMES.sub("_", name)[:MAX_HEADER_CHARACTERS]
