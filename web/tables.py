"""Reads a file of leads: which encoding, which delimiter, which column is what.

Taken are UTF-8 and UTF-16 as their marks say, UTF-8 without one, and Windows-1255, which Hebrew Excel writes, when what comes out is
Hebrew; everything else is refused with what to do about it.

On the road of a call: 1, when the leads come as a file.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from typing import TYPE_CHECKING, Any, Final

from web.faults import ApiError, Text
from web.i18n import msgid
from web.leads import FIELDS, MAX_LEADS, BadRowCellsError

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIMITERS: Final = (",", ";", "\t")
MAX_COLUMNS: Final = 60
MAX_HEADER_CHARACTERS: Final = 100
REQUIRED: Final = ("lead_id", "phone")
# Columns that are a lead's own; any other becomes one of its variables.
COLUMNS: Final = FIELDS - {"variables"}
MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
HEBREW: Final = re.compile("[\u05d0-\u05ea]")
# Beyond the letters: vowel points, Hebrew punctuation, the shekel sign, quotes, dashes, no-break space, direction marks.
BESIDE_HEBREW: Final = re.compile(
    "[\x00-\x7f\u05b0-\u05c7\u05f0-\u05f4\u20aa\u20ac\u2013\u2014\u2018-\u201e\u2022\u2026\u00a0\u00b0\u00b7\u00bd\u200e\u200f]"
)
MIXED_WORD: Final = re.compile("[A-Za-z][\u05d0-\u05ea]|[\u05d0-\u05ea][A-Za-z]")
# Points stand on a letter; the capitals of a Cyrillic file would be points at the beginning of a word.
LOOSE_POINT: Final = re.compile("(?<![\u05d0-\u05ea\u05b0-\u05c7])[\u05b0-\u05c7]")
HEBREW_WORD: Final = re.compile("[\u05d0-\u05ea]{2}")
ZIP: Final = b"PK\x03\x04"
OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"


def rows_of(body: bytes) -> Iterator[tuple[int, object]]:
    """The rows of a file as leads, each with its number: the header is row 1, as a spreadsheet shows it.

    Raises:
        ApiError: 422 when the file cannot be read as leads, 413 when it has too many rows.
    """
    text = decoded(body)
    lines = _reader(text)
    header = _header(next(lines, []))
    _refuse_missing(header)
    try:
        for number, cells in enumerate(lines, start=2):
            if number > MAX_LEADS + 1:
                raise too_many()
            if any(cell.strip() for cell in cells):
                yield number, _row(header, cells)
    except csv.Error:
        raise _unreadable(Text(msgid("The file is not a table: a cell does not end. Look for a quotation mark too many."))) from None


def decoded(body: bytes) -> str:
    """The text of a file.

    Raises:
        ApiError: 422, when its encoding cannot be told.
    """
    if body.startswith((ZIP, OLD_EXCEL)):
        raise _unreadable(Text(msgid("This is an Excel workbook. Save it as “CSV UTF-8 (comma delimited)” and load that file.")))
    encoding = next((name for mark, name in MARKS if body.startswith(mark)), "utf-8")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise _wrong_encoding() from None
        text = _windows_hebrew(body)
    if "\x00" in text:
        raise _wrong_encoding()
    return text


def too_many() -> ApiError:
    """More leads than one run may have."""
    text = Text(msgid("A run has at most {most} leads; split them over several runs."), {"most": MAX_LEADS})
    return ApiError(413, "too_many_leads", text)


def _windows_hebrew(body: bytes) -> str:
    try:
        text = body.decode("cp1255")
    except UnicodeDecodeError:
        raise _wrong_encoding() from None
    # Any single-byte file can be read as this one. It is Hebrew when it has words of it, nothing foreign, and no word that is half Latin,
    # as every accented letter of a Western file would make.
    foreign = [letter for letter in set(text) if not HEBREW.match(letter) and not BESIDE_HEBREW.match(letter)]
    if foreign or MIXED_WORD.search(text) or LOOSE_POINT.search(text) or not HEBREW_WORD.search(text):
        raise _wrong_encoding()
    return text


def _reader(text: str) -> Iterator[list[str]]:
    first = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=lambda mark: (len({_column(cell) for cell in first.split(mark)} & COLUMNS), first.count(mark)))
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _header(cells: list[str]) -> list[str]:
    names = [_column(cell) for cell in cells]
    while names and not names[-1]:
        names.pop()
    if len(names) > MAX_COLUMNS:
        raise _unreadable(Text(msgid("The file has more than {most} columns."), {"most": MAX_COLUMNS}))
    for name in names:
        if names.count(name) > 1:
            raise _wrong_header(name=name or "header", text=Text(msgid("The header has this column twice.")))
        if not name or len(name) > MAX_HEADER_CHARACTERS:
            raise _wrong_header(name="header", text=Text(msgid("A column of the header has no name, or one that is too long.")))
    return names


def _refuse_missing(header: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        text = Text(msgid("The first line must name the columns, and lacks: {columns}."), {"columns": ", ".join(missing)})
        why = Text(msgid("is missing"))
        raise ApiError(422, "missing_column", text, details=[{"field": name, "message": why} for name in missing])


def _row(header: list[str], cells: list[str]) -> object:
    given = dict(zip(header, (cell.strip() for cell in cells), strict=False))
    row: dict[str, Any] = {name: value for name, value in given.items() if name in COLUMNS and value}
    if "lead_id" in row and row["lead_id"].isascii() and row["lead_id"].isdigit():
        row["lead_id"] = int(row["lead_id"][:MAX_HEADER_CHARACTERS])
    if any(cell.strip() for cell in cells[len(header) :]):
        return BadRowCellsError(row)
    variables = {name: value for name, value in given.items() if name not in COLUMNS and value}
    return {**row, "variables": variables} if variables else row


def _column(cell: str) -> str:
    return cell.strip().strip('"').strip().lower().replace(" ", "_").replace("-", "_")


def _wrong_encoding() -> ApiError:
    text = Text(msgid("The encoding of this file cannot be told. Save it as “CSV UTF-8” (in Excel: Save as, CSV UTF-8) and load it again."))
    return ApiError(422, "wrong_encoding", text, details=[{"field": "file", "message": text}])


def _unreadable(text: Text) -> ApiError:
    return ApiError(422, "unreadable_file", text, details=[{"field": "file", "message": text}])


def _wrong_header(name: str, text: Text) -> ApiError:
    return ApiError(422, "wrong_header", text, details=[{"field": name, "message": text}])
