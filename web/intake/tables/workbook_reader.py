"""Reads a workbook (XLSX) and writes its first visible sheet with cells as JSON, a list of texts a row; runs in `web.intake.readers`.

The library keeps a sheet in memory as a rectangle up to its last cell, so a file of 5 kB can ask for 500 GB. Therefore it runs in a
process with limits of its own, after the archive has been checked: the number of entries, what each unpacks to as declared and in truth,
and their ratio. A process that reaches a limit dies, and the upload is refused.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

from web.intake.readers.reader_limits import MEGABYTE, OUTPUT_BYTES, ReadResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_ENTRIES: Final = 1_000
MAX_UNPACKED_BYTES: Final = 256 * MEGABYTE
# A sheet of equal rows is packed to a fiftieth. Small entries may be packed better.
MAX_RATIO: Final = 200
RATIO_FROM_BYTES: Final = MEGABYTE
PIECE_BYTES: Final = 64 * 1024
LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
ENCRYPTED: Final = 0x1
# As in the other files; such a row is written as null.
MAX_ROW_CHARACTERS: Final = 65_536
# Excel keeps 15 digits of a number: it shows a longer one as a power of ten, and so do we, for its last digits are lost.
MAX_WHOLE: Final = 10**15
MIDNIGHT: Final = dt.time()


class RefusedArchiveError(Exception):
    """The archive is not unpacked; `exit_code` says why."""

    def __init__(self, exit_code: ReadResult) -> None:
        super().__init__(exit_code.name)
        self.exit_code = exit_code


def check_archive(body: bytes) -> None:
    """Check what a ZIP archive unpacks to without keeping any of it.

    Raises:
        RefusedArchiveError: when it is too much, or the archive does not say the truth about it.
    """
    try:
        entries = zipfile.ZipFile(io.BytesIO(body)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise RefusedArchiveError(ReadResult.UNREADABLE) from None
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise RefusedArchiveError(ReadResult.TOO_LARGE)
    for entry in entries:
        if entry.flag_bits & ENCRYPTED:
            raise RefusedArchiveError(ReadResult.PASSWORD)
        if entry.file_size > RATIO_FROM_BYTES and entry.file_size > entry.compress_size * MAX_RATIO:
            raise RefusedArchiveError(ReadResult.TOO_LARGE)
        if _unpacked_bytes(body, entry) != entry.file_size:
            raise RefusedArchiveError(ReadResult.UNREADABLE)


def _unpacked_bytes(body: bytes, entry: zipfile.ZipInfo) -> int:
    """What an entry unpacks to in truth; counting stops beyond what it declares. Another reader may not stop there."""
    start = entry.header_offset
    if start + LOCAL_HEADER.size + 4 > len(body):
        raise RefusedArchiveError(ReadResult.UNREADABLE)
    name, extra = struct.unpack_from("<HH", body, start + 26)
    start += 30 + name + extra
    packed = memoryview(body)[start : start + entry.compress_size]
    if entry.compress_type == zipfile.ZIP_STORED:
        return len(packed)
    if entry.compress_type != zipfile.ZIP_DEFLATED:
        raise RefusedArchiveError(ReadResult.UNREADABLE)
    return sum(_inflated(packed, entry.file_size))


def _inflated(packed: memoryview, most: int) -> Iterator[int]:
    """The lengths of the unpacked pieces, not many bytes beyond `most`."""
    inflater, left, found = zlib.decompressobj(-zlib.MAX_WBITS), bytes(packed), 0
    try:
        while found <= most and not inflater.eof:
            piece = inflater.decompress(left, PIECE_BYTES)
            left = inflater.unconsumed_tail
            if not piece and not left:
                return
            found += len(piece)
            yield len(piece)
    except zlib.error:
        raise RefusedArchiveError(ReadResult.UNREADABLE) from None


def rows_of(body: bytes) -> Iterator[list[str] | None]:
    """The rows of the first visible sheet that has any, from row 1 on; None for one that is too long.

    Raises:
        RefusedArchiveError: when it cannot be read.
    """
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(body))
        for number, page in enumerate(workbook.sheets_metadata):
            if page.visible != SheetVisibleEnum.Visible:
                continue
            table = workbook.get_sheet_by_index(number)
            if table.height:
                yield from (_texts(row) for row in table.iter_rows())
                return
    except CalamineError as error:
        raise RefusedArchiveError(ReadResult.PASSWORD if "assword" in str(error) else ReadResult.UNREADABLE) from None


def _texts(row: Sequence[object]) -> list[str] | None:
    texts = [text_of(cell) for cell in row]
    while texts and not texts[-1]:
        texts.pop()
    return texts if sum(map(len, texts)) <= MAX_ROW_CHARACTERS else None


def text_of(cell: object) -> str:
    """What a cell shows: a number in plain digits, a day as 2026-12-31, a time as 09:30."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, int | float):
        return _number(float(cell))
    if isinstance(cell, dt.datetime):
        return f"{cell:%Y-%m-%d}" if cell.time() == MIDNIGHT else f"{cell:%Y-%m-%d %H:%M}"
    if isinstance(cell, dt.time):
        return f"{cell:%H:%M}"
    return "" if cell is None else str(cell)


def _number(number: float) -> str:
    if number.is_integer() and abs(number) < MAX_WHOLE:
        return str(int(number))
    return repr(number) if abs(number) < MAX_WHOLE else f"{number:.5E}"


def write_rows(body: bytes, output: BinaryIO) -> None:
    """Check a workbook and write its rows.

    Raises:
        RefusedArchiveError: when it cannot be read, or is too much.
    """
    check_archive(body)
    written = 0
    for row in rows_of(body):
        line = json.dumps(row, ensure_ascii=False).encode(errors="replace") + b"\n"
        written += len(line)
        if written > OUTPUT_BYTES:
            raise RefusedArchiveError(ReadResult.TOO_LARGE)
        output.write(line)
    output.flush()
