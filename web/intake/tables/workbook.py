"""Workbooks (XLSX): unpacked by a process of its own into rows in a temporary file, which are read as those of any other table."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from threading import BoundedSemaphore
from typing import IO, TYPE_CHECKING, Final

from web.intake.csv_records import RecordFault, UnreadableRecord
from web.intake.encoding import OLD_EXCEL, ZIP, beginning
from web.intake.tables.file_kinds import OLD_WORD, refuse_other_archives
from web.intake.tables.layout import by_headings
from web.intake.tables.table_rows import leads_of
from web.intake.tables.workbook_reader import ReadResult
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.intake.csv_records import Record
    from web.intake.encoding import Source
    from web.intake.tables.layout import Finder

READER: Final = Path(__file__).with_name("workbook_reader.py")
# Longer than the processor time that it is given.
READER_SECONDS: Final = 120.0
# Each may take the memory that the reader is limited to.
_at_once = BoundedSemaphore(2)

log = logging.getLogger(__name__)


class Workbook:
    """The rows of a workbook in a temporary file, which the caller closes; read by one thread at a time."""

    def __init__(self, rows: IO[bytes]) -> None:
        self._rows = rows

    def rows_of(self, find: Finder = by_headings) -> Iterator[tuple[int, object]]:
        """The rows as leads, each with its number, as a spreadsheet shows it; `find` finds the header.

        Raises:
            ApiError: 422 when it has no header, 413 when it has too many rows.
        """
        records = self.records()
        layout = find(records)
        yield from leads_of(records, layout, layout.above + 1, padded=True)

    def records(self) -> Iterator[Record]:
        """All rows from row 1 on."""
        return map(_record, self.lines())

    def lines(self) -> Iterator[bytes]:
        """The rows as they are kept: a line of JSON each."""
        self._rows.seek(0)
        return iter(self._rows)

    def close(self) -> None:
        """Remove the file."""
        self._rows.close()


def is_workbook(source: Source) -> bool:
    """Whether a file is to be read as a workbook.

    Raises:
        ApiError: 422, when it is one of a kind that is not read.
    """
    mark = beginning(source)
    if mark.startswith(OLD_EXCEL):
        refuse_other_archives(source, tuple(OLD_WORD.items()))
        raise _unreadable(
            msgid("This is an old Excel file (.xls), or one with a password. Save it as .xlsx without a password, or as “CSV UTF-8”.")
        )
    return mark.startswith(ZIP)


def unpacked(source: Source) -> Workbook:
    """The rows of a workbook; takes a process and seconds.

    Raises:
        ApiError: 413 when it unpacks to too much, 422 when it cannot be read.
    """
    with ExitStack() as closing:
        rows = closing.enter_context(tempfile.TemporaryFile(prefix="ringmaster-"))
        packed = closing.enter_context(tempfile.TemporaryFile(prefix="ringmaster-"))
        for piece in source():
            packed.write(piece)
        packed.seek(0)
        with _at_once:
            ended = _read(packed, rows)
        if ended == ReadResult.UNREADABLE:
            refuse_other_archives(source)
        _refuse(ended)
        packed.close()
        closing.pop_all()
        return Workbook(rows)


def _read(packed: IO[bytes], rows: IO[bytes]) -> int:
    """Unpack a workbook; return how the reader ended, a ReadResult unless it was killed."""
    command = [sys.executable, "-I", str(READER)]
    try:
        # Our own program; the file is its standard input.
        return subprocess.run(  # noqa: S603
            command, stdin=packed, stdout=rows, stderr=subprocess.DEVNULL, timeout=READER_SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return ReadResult.TOO_LARGE


def _refuse(ended: int) -> None:
    if ended == ReadResult.READ:
        return
    if ended == ReadResult.UNREADABLE:
        raise _unreadable(msgid("This is no Excel workbook (.xlsx) that can be read. Save it again in Excel, or as “CSV UTF-8”."))
    if ended == ReadResult.PASSWORD:
        raise _unreadable(msgid("This workbook has a password. Save it without one."))
    if ended != ReadResult.TOO_LARGE:
        # Killed at its limit of memory or time.
        log.warning("the reader of workbooks ended with %d", ended)
    text = Text(msgid("This workbook is too large once it is unpacked. Keep only the sheet with the leads, or save it as “CSV UTF-8”."))
    raise ApiError(413, "too_large", text, details=[{"field": "file", "message": text}])


def _record(line: bytes) -> Record:
    cells: list[str] | None = json.loads(line)
    if cells is None:
        return UnreadableRecord(RecordFault.TOO_LONG, [])
    if b"\\u0000" in line and any("\x00" in cell for cell in cells):
        return UnreadableRecord(RecordFault.NUL, cells[: next(n for n, cell in enumerate(cells) if "\x00" in cell)])
    return cells


def _unreadable(sentence: str) -> ApiError:
    text = Text(sentence)
    return ApiError(422, "unreadable_file", text, details=[{"field": "file", "message": text}])
