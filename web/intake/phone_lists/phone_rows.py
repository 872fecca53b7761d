"""Reads the rows of a list of phone numbers from a table (CSV, TSV, XLSX): a column of phones, perhaps one of reasons; others are ignored.

The column of phones is found by its heading, as that of a list of leads is. A file without a header is read if it has one column, and its
first row is a number: official registers come that way.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from dialer.phones.phone_numbers import RefusedPhoneError, read_phone
from web.intake.csv_file import records_of
from web.intake.csv_records import Records, UnreadableRecord
from web.intake.row_shape import RowShape
from web.intake.rows import BadRowCellsError
from web.intake.tables.headings import Role, comparable, role_of
from web.intake.tables.layout import MAX_TITLE_LINES, column_name, no_column
from web.intake.tables.unpacked_rows import records_of_lines
from web.intake.tables.workbook import is_workbook, unpacked
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.intake.csv_records import Record
    from web.intake.encoding import Source

PHONE: Final = "phone"
REASON: Final = "reason"
REASONS: Final = frozenset(map(comparable, (REASON, "סיבה", "סיבת ההסרה", "السبب", "سبب")))


class PhoneRow(NamedTuple):
    """A row: its `phone` is a cell to be read, or why the row is unreadable."""

    number: int
    phone: object
    reason: str = ""


def phone_rows(source: Source, region: str) -> Iterator[PhoneRow]:
    """The rows of a file, numbered as a spreadsheet shows them; of a workbook, its first sheet.

    Raises:
        ApiError: 422 when the file cannot be read as a list of numbers, 413 when it is a workbook that unpacks to too much.
    """
    if not is_workbook(source):
        yield from _rows(records_of(source, (PHONE, REASON)), region)
        return
    with ExitStack() as closing:
        yield from _rows(records_of_lines(unpacked(source, closing).source()), region)


def _rows(records: Iterator[Record], region: str) -> Iterator[PhoneRow]:
    above, header, first = _header(records, region)
    if isinstance(records, Records):
        phone = header.index(PHONE)
        records.shape = RowShape(records.shape.delimiter, len(header), phone, phone)
    for number, record in enumerate(chain(first, records), start=above + 1):
        if isinstance(record, UnreadableRecord) or any(cell and not cell.isspace() for cell in record):
            # In a sheet a row ends with its last cell that is not empty.
            yield _row(number, header, record, padded=not isinstance(records, Records))


def _header(records: Iterator[Record], region: str) -> tuple[int, list[str], list[Record]]:
    """The number of rows up to the header, its columns by what they are, and a first row that was read in search of it.

    Raises:
        ApiError: 422, when there is none.
    """
    for above, record in enumerate(islice(records, MAX_TITLE_LINES)):
        if isinstance(record, UnreadableRecord):
            continue
        names = _columns(record)
        if names:
            return above + 1, names, []
        if len([cell for cell in record if column_name(cell)]) == 1 and any(_is_phone(cell, region) for cell in record):
            return above, [PHONE if column_name(cell) else "" for cell in record], [record]
    raise no_column(PHONE)


def _columns(record: list[str]) -> list[str]:
    """What each column is by its heading: the phone, the reason, or something that is ignored; empty when none is the phone.

    Raises:
        ApiError: 422, when one of them is there twice.
    """
    ranks = [(heading.rank, n) for n, cell in enumerate(record) if (heading := role_of(cell)) and heading.role is Role.PHONE]
    if not ranks:
        return []
    reasons = [n for n, cell in enumerate(record) if comparable(cell) in REASONS]
    phone = min(ranks)[1]
    for name, twice in ((PHONE, list(map(column_name, record)).count(PHONE) > 1), (REASON, len(reasons) > 1)):
        if twice:
            text = Text(msgid("This column appears twice in the header."))
            raise ApiError(422, "wrong_header", text, details=[{"field": name, "message": text}])
    return [PHONE if n == phone else REASON if n in reasons else "" for n in range(len(record))]


def _is_phone(cell: str, region: str) -> bool:
    try:
        return bool(read_phone(cell, region))
    except RefusedPhoneError:
        return False


def _row(number: int, header: list[str], record: Record, *, padded: bool) -> PhoneRow:
    if isinstance(record, UnreadableRecord):
        return PhoneRow(number, BadRowCellsError(dict(zip(header, record.beginning, strict=False)), record.fault))
    cells = [*record, *[""] * (len(header) - len(record))] if padded else record
    row = dict(zip(header, cells, strict=False))
    if len(cells) != len(header) and not (padded and not any(map(str.strip, cells[len(header) :]))):
        return PhoneRow(number, BadRowCellsError(row, "wrong_columns", cells=len(cells), columns=len(header)))
    return PhoneRow(number, row[PHONE], row.get(REASON, ""))
