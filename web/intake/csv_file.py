"""Reads a file of leads: which delimiter, which column is what, which row is one.

The heading is the first row that names the columns lead_id and phone; before it may stand Excel's line `sep=;`, blank lines and a title.
Columns without a name are left out. A row that cannot be read is refused, and the others are kept.

On the road of a call: 1, when the leads come as a file.
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
# So far down the heading is looked for.
MAX_TITLE_LINES: Final = 20
# Blank ones included: a spreadsheet exports as many as it has ever touched.
MAX_LINES: Final = 2_000_000
REQUIRED: Final = ("lead_id", "phone")
# Columns that are a lead's own; any other becomes one of its variables.
COLUMNS: Final = FIELDS - {"variables"}
SEPARATOR_LINE: Final = re.compile(r'"?sep=(?P<mark>[^\w\s"]|\t)"?[,;\t|]*', re.ASCII | re.IGNORECASE)
INVISIBLE: Final = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\x00]")
NOT_IN_NAMES: Final = re.compile(r"[\s-]")
# The marks by which a spreadsheet keeps an id as text; and an id that it has made a float of.
TEXT_MARKS: Final = re.compile(r"""'(?P<quoted>.+)|="(?P<formula>[^"]+)\"""")
INTEGER: Final = re.compile(r"(?P<whole>0|[1-9][0-9]{0,18})(?P<float>\.0)?", re.ASCII)
# So many digits fit, whatever they are.
MAX_PLAIN_DIGITS: Final = 18
# Beyond it a float has lost digits.
EXACT_MAX: Final = 2**53


def rows_of(source: Source) -> Iterator[tuple[int, object]]:
    """The rows of a file as leads, each with its number: row 1 is the first of the file, as a spreadsheet shows it.

    Raises:
        ApiError: 422 when the file cannot be read as leads, 413 when it has too many rows.
    """
    lines = lines_of(decoded(source))
    top = list(islice(lines, MAX_TITLE_LINES))
    delimiter = _separator_line(top) or _delimiter(top)
    records = Records(chain(top, lines), RowShape(delimiter))
    above, header = _header(records)
    records.shape = RowShape(delimiter, len(header), header.index("lead_id"), header.index("phone"))
    found = 0
    for number, record in enumerate(records, start=above + 2):
        if isinstance(record, list) and not any(cell and not cell.isspace() for cell in record):
            if number > MAX_LINES:
                raise too_many()
            continue
        found += 1
        if found > MAX_LEADS:
            raise too_many()
        yield number, _row(header, record)


def _separator_line(top: list[str | None]) -> str | None:
    """The delimiter that Excel's first line names; the line itself is taken away, as Excel does not count it."""
    found = SEPARATOR_LINE.fullmatch(INVISIBLE.sub("", top[0])) if top and top[0] else None
    if found is None:
        return None
    del top[0]
    return found["mark"]


def _delimiter(top: Sequence[str | None]) -> str:
    """The one that finds the most columns we know in one of these lines, or that the first line has most of."""

    def known(mark: str, line: str) -> int:
        return len({_column(cell) for cell in line.split(mark)} & COLUMNS)

    lines = [line for line in top if line and not line.isspace()]
    return max(DELIMITERS, key=lambda mark: (max((known(mark, line) for line in lines), default=0), lines[0].count(mark) if lines else 0))


def _header(records: Records) -> tuple[int, list[str]]:
    """How many rows stand above the heading, and the names of the columns, empty for one that is left out.

    Raises:
        ApiError: 422, when there is no heading, or it does not say which column is which.
    """
    first: list[str] = []
    for above, record in enumerate(islice(records, MAX_TITLE_LINES)):
        names = [_column(cell) for cell in record] if isinstance(record, list) else []
        if set(REQUIRED) <= set(names):
            return above, _distinct(names)
        first = first or [name for name in names if name]
    missing = [name for name in REQUIRED if name not in first]
    text = Text(msgid("The first line must name the columns, and lacks: {columns}."), {"columns": ", ".join(missing)})
    why = Text(msgid("is missing"))
    raise ApiError(422, "missing_column", text, details=[{"field": name, "message": why} for name in missing])


def _distinct(names: list[str]) -> list[str]:
    """The names, none twice: a lead's own columns must be clear, and a second one of another name gets a number."""
    distinct: list[str] = []
    for name in names:
        count = names[: len(distinct)].count(name)
        if count and name in COLUMNS:
            text = Text(msgid("The header has this column twice."))
            raise ApiError(422, "wrong_header", text, details=[{"field": name, "message": text}])
        distinct.append(f"{name}_{count + 1}" if name and count else name)
    return distinct


def _row(header: list[str], record: Record) -> object:
    if isinstance(record, UnreadableRecord):
        return BadRowCellsError(_own(header, record.beginning), record.fault)
    row = _own(header, record)
    if any(cell and not cell.isspace() for cell in record[len(header) :]):
        return BadRowCellsError(row)
    if QUOTE in str(row.get("lead_id", "")):
        # A stray mark, which would make another lead of it.
        return BadRowCellsError(row, RecordFault.QUOTES)
    variables = {name: text for name, cell in zip(header, record, strict=False) if name and name not in COLUMNS and (text := cell.strip())}
    return {**row, "variables": variables} if variables else row


def _own(header: list[str], cells: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: text for name, cell in zip(header, cells, strict=False) if name in COLUMNS and (text := cell.strip())}
    if "lead_id" in row:
        row["lead_id"] = _lead_id(row["lead_id"])
    if "timezone" in row:
        row["timezone"] = INVISIBLE.sub("", row["timezone"]).strip()
    return row


def _lead_id(cell: str) -> int | str:
    """A whole number without leading zeros is one, with `.0` behind it too; all else is text, without the marks of spreadsheets."""
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


def _column(cell: str) -> str:
    name = INVISIBLE.sub("", cell).strip().strip('"').strip().lower()
    return NOT_IN_NAMES.sub("_", name)[:MAX_HEADER_CHARACTERS]
