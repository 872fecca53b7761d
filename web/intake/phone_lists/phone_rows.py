"""Reads the rows of a list of phone numbers from a CSV file: a column `phone`, perhaps a column `reason`, and others that are ignored.

A file without a header is read if it has one column, and its first row is a number: official registers come that way.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from web.intake.csv_file import records_of
from web.intake.csv_records import UnreadableRecord
from web.intake.phone_numbers import RefusedPhoneError, read_phone
from web.intake.row_shape import RowShape
from web.intake.rows import BadRowCellsError
from web.intake.tables.layout import MAX_TITLE_LINES, column_name
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.intake.csv_records import Record, Records
    from web.intake.encoding import Source

PHONE: Final = "phone"
REASON: Final = "reason"
COLUMNS: Final = frozenset({PHONE, REASON})


class PhoneRow(NamedTuple):
    """A row: its `phone` is a cell to be read, or why the row is unreadable."""

    number: int
    phone: object
    reason: str = ""


def phone_rows(source: Source, region: str) -> Iterator[PhoneRow]:
    """The rows of a file, numbered as a spreadsheet shows them.

    Raises:
        ApiError: 422 when the file cannot be read as a list of numbers.
    """
    records = records_of(source, COLUMNS)
    above, header, first = _header(records, region)
    phone = header.index(PHONE)
    records.shape = RowShape(records.shape.delimiter, len(header), phone, phone)
    for number, record in enumerate(chain(first, records), start=above + 1):
        if isinstance(record, UnreadableRecord) or any(cell and not cell.isspace() for cell in record):
            yield _row(number, header, record)


def _header(records: Records, region: str) -> tuple[int, list[str], list[Record]]:
    """The number of rows up to the header, its columns, and a first row that was read in search of it.

    Raises:
        ApiError: 422, when there is none.
    """
    for above, record in enumerate(islice(records, MAX_TITLE_LINES)):
        if isinstance(record, UnreadableRecord):
            continue
        names = [column_name(cell) for cell in record]
        if PHONE in names:
            return above + 1, _distinct(names), []
        if len([name for name in names if name]) == 1 and any(_is_phone(cell, region) for cell in record):
            return above, [PHONE if name else "" for name in names], [record]
    text = Text(msgid("The first line must name the columns; these are missing: {columns}."), {"columns": PHONE})
    raise ApiError(422, "missing_column", text, details=[{"field": PHONE, "message": Text(msgid("is missing"))}])


def _distinct(names: list[str]) -> list[str]:
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        text = Text(msgid("This column appears twice in the header."))
        raise ApiError(422, "wrong_header", text, details=[{"field": name, "message": text} for name in twice])
    return names


def _is_phone(cell: str, region: str) -> bool:
    try:
        return bool(read_phone(cell, region))
    except RefusedPhoneError:
        return False


def _row(number: int, header: list[str], record: Record) -> PhoneRow:
    if isinstance(record, UnreadableRecord):
        return PhoneRow(number, BadRowCellsError(dict(zip(header, record.beginning, strict=False)), record.fault))
    row = dict(zip(header, record, strict=False))
    if len(record) != len(header):
        return PhoneRow(number, BadRowCellsError(row, "wrong_columns", cells=len(record), columns=len(header)))
    return PhoneRow(number, row[PHONE], row.get(REASON, ""))
