"""Detects the encoding of a file, and decodes it piece by piece, so that the whole text is never in memory.

Accepted are UTF-8 and UTF-16 with a byte order mark, UTF-8 without one, and Windows-1255, which Hebrew Excel writes, if the decoded text
is Hebrew. Everything else is rejected with advice on how to save the file.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from web.intake.tables.file_kinds import refuse_other_kinds
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

# Each call reads the body from its beginning, in pieces of bounded size.
Source: TypeAlias = Callable[[], Iterable[bytes]]

MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
HEBREW: Final = re.compile("[\u05d0-\u05ea]")
# Beyond the letters: vowel points, Hebrew punctuation, the shekel sign, quotes, dashes, no-break space, direction marks.
BESIDE_HEBREW: Final = re.compile(
    "[\x00-\x7f\u05b0-\u05c7\u05f0-\u05f4\u20aa\u20ac\u2013\u2014\u2018-\u201e\u2022\u2026\u00a0\u00b0\u00b7\u00bd\u200e\u200f]"
)
MIXED_WORD: Final = re.compile("[A-Za-z][\u05d0-\u05ea]|[\u05d0-\u05ea][A-Za-z]")
# Vowel points follow a letter; the capitals of a Cyrillic file would decode as points at the beginning of a word.
LOOSE_POINT: Final = re.compile("(?<![\u05d0-\u05ea\u05b0-\u05c7])[\u05b0-\u05c7]")
HEBREW_WORD: Final = re.compile("[\u05d0-\u05ea]{2}")
ZIP: Final = b"PK\x03\x04"
OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"
MARK_BYTES: Final = 4
PIECE_BYTES: Final = 256 * 1024


class FileSource:
    """The bytes of a file from `start` to `end` as a source; leaves its position alone, so others may read it meanwhile."""

    def __init__(self, fileno: int, start: int, end: int) -> None:
        self.fileno = fileno
        self.start = start
        self._end = end

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self._end - self.start

    def __call__(self) -> Iterator[bytes]:
        """The bytes in pieces."""
        at = self.start
        while at < self._end:
            piece = os.pread(self.fileno, min(PIECE_BYTES, self._end - at), at)
            at += len(piece)
            yield piece


def pieces(body: bytes) -> Source:
    """A body in memory as a source."""
    return lambda: (body[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES))


def decoded(source: Source, *, hasty: bool = False) -> Iterator[str]:
    """The text of a file, piece by piece.

    `hasty`: it is not read to its end beforehand to see whether all of it is UTF-8.

    Raises:
        ApiError: 422, before the first piece, when it is a file of another kind, or its encoding is not recognized.
        UnicodeDecodeError: when it is hasty, at what is not UTF-8; such a file may still be read otherwise.
    """
    mark = beginning(source)
    if mark.startswith((ZIP, OLD_EXCEL)):
        text = Text(msgid("This is an Excel workbook. Save it as “CSV UTF-8 (comma delimited)” and upload that file."))
        raise ApiError(422, "unreadable_file", text, details=[{"field": "file", "message": text}])
    refuse_other_kinds(mark)
    encoding = next((name for known, name in MARKS if mark.startswith(known)), "utf-8")
    if hasty:
        if "\x00" in _first_line(texts(source, encoding)):
            raise _wrong_encoding()
        return texts(source, encoding)
    try:
        first = _first_line(texts(source, encoding))
        for _ in texts(source, encoding):
            pass
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise _wrong_encoding() from None
        first, encoding = _windows_hebrew(source), "cp1255"
    # A NUL in the header means UTF-16 without a mark; further down it only makes one row unreadable.
    if "\x00" in first:
        raise _wrong_encoding()
    return texts(source, encoding)


def texts(source: Source, encoding: str, errors: str = "strict") -> Iterator[str]:
    """The source decoded piece by piece.

    Raises:
        UnicodeDecodeError: at bytes that are not valid in this encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for piece in source():
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def beginning(source: Source) -> bytes:
    """The first four bytes, where a byte order mark or the signature of a file format would be."""
    mark = b""
    for piece in source():
        mark += piece[:MARK_BYTES]
        if len(mark) >= MARK_BYTES:
            break
    return mark[:MARK_BYTES]


def _first_line(parts: Iterator[str]) -> str:
    return next((line for text in parts if (line := text.lstrip().split("\n", 1)[0])), "")


def _windows_hebrew(source: Source) -> str:
    """The first line of a file that is Hebrew in Windows-1255.

    Any file in a single-byte encoding decodes as Windows-1255. It is Hebrew if it has Hebrew words, no foreign letters, and no word that
    is half Latin, which is what every accented letter of a Western file would produce.

    Raises:
        ApiError: 422, when it is not.
    """
    first, last, has_words = "", "", False
    try:
        for text in texts(source, "cp1255"):
            first = first or _first_line(iter([text]))
            # A word may continue in the next piece.
            joined, last = last + text, text[-1:] or last
            foreign = any(not HEBREW.match(letter) and not BESIDE_HEBREW.match(letter) for letter in set(text))
            if foreign or MIXED_WORD.search(joined) or LOOSE_POINT.search(joined):
                raise _wrong_encoding()
            has_words = has_words or bool(HEBREW_WORD.search(joined))
    except UnicodeDecodeError:
        raise _wrong_encoding() from None
    if not has_words:
        raise _wrong_encoding()
    return first


def _wrong_encoding() -> ApiError:
    text = Text(
        msgid("The encoding of this file is not supported. Save it as “CSV UTF-8” (in Excel: Save as, CSV UTF-8) and upload it again.")
    )
    return ApiError(422, "wrong_encoding", text, details=[{"field": "file", "message": text}])
