"""Splits the text of a CSV file into records of bounded length; an unreadable record never takes others with it.

A line ends with CR LF, LF or CR. A quotation mark at the beginning of a cell quotes it, over several lines if needed; anywhere else it is
an ordinary character (as in Hebrew abbreviations). If the quotes are not closed properly, the record is its first line alone, unreadable,
and reading continues after that line. The same happens if a line within the quotes could be a row (see `row_shape`): either the quotes
were never closed, or two stray marks would merge several leads into one. And the same in a file where so many quotes are not closed that
reading after them again would take a multiple of the time of the file.
"""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from web.intake.row_shape import QUOTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from web.intake.row_shape import RowShape

MAX_RECORD_CHARACTERS: Final = 65_536
MAX_RECORD_LINES: Final = 500
# Quotation marks that are not closed may have so many characters read again, and this many times those of the file so far. Without an
# end to it, each line of a file could have 500 more read: 64 kB took 43 s.
REREAD_CHARACTERS: Final = MAX_RECORD_CHARACTERS
REREAD_TIMES: Final = 4


class RecordFault(StrEnum):
    """Why a record is unreadable."""

    QUOTES = "bad_quotes"
    TOO_LONG = "row_too_long"
    NUL = "nul_character"


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A record that cannot be read: `beginning` are its cells up to the fault."""

    fault: RecordFault
    beginning: list[str]


Record: TypeAlias = "list[str] | UnreadableRecord"


def lines_of(texts: Iterable[str]) -> Iterator[str | None]:
    """The lines of a text that comes in pieces, without line ends; None in place of one that is too long."""
    rest, returned, cut = "", "", False
    for piece in texts:
        # A CR at the end of a piece may be the first half of a line end.
        text = returned + piece
        returned = "\r" if text.endswith("\r") else ""
        text = (text[:-1] if returned else text).replace("\r\n", "\n").replace("\r", "\n")
        first, *others = text.split("\n")
        rest, cut = _longer(rest, first, cut=cut)
        if not others:
            continue
        yield None if cut else rest
        last = others.pop()
        for line in others:
            yield line if len(line) <= MAX_RECORD_CHARACTERS else None
        rest, cut = _longer("", last, cut=False)
    yield None if cut else rest
    if returned:
        yield ""


def _longer(rest: str, text: str, *, cut: bool) -> tuple[str, bool]:
    if cut or len(rest) + len(text) > MAX_RECORD_CHARACTERS:
        return "", True
    return rest + text, False


class Records:
    """The records of a file; iterate over it."""

    def __init__(self, lines: Iterable[str | None], shape: RowShape) -> None:
        """Split `lines` into rows of this `shape`, which may be replaced once the header is known."""
        self._lines = iter(lines)
        self._again: deque[str | None] = deque()
        # So many characters may still be read again.
        self._rereadable = REREAD_CHARACTERS
        self.shape = shape

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        line = self._next_line()
        if line is None:
            return UnreadableRecord(RecordFault.TOO_LONG, [])
        if "\x00" in line:
            return UnreadableRecord(RecordFault.NUL, line.partition("\x00")[0].split(self.shape.delimiter)[:-1])
        return self._quoted(line) if QUOTE in line else line.split(self.shape.delimiter)

    def _next_line(self) -> str | None:
        if self._again:
            return self._again.popleft()
        line = next(self._lines)
        self._rereadable += REREAD_TIMES * _weight(line)
        return line

    def _quoted(self, line: str) -> Record:
        continued: list[str | None] = []
        try:
            record = next(csv.reader(self._unfinished(line, continued), delimiter=self.shape.delimiter, strict=True))
        except (csv.Error, _UnclosedError):
            record = None
        if record is not None and not self.shape.merges(line, record, lines=1 + len(continued)):
            return record
        self._rereadable -= sum(map(_weight, continued))
        self._again.extendleft(reversed(continued))
        return UnreadableRecord(RecordFault.QUOTES, self._beginning(line))

    def _beginning(self, line: str) -> list[str]:
        """The cells before the first quotation mark; if there is none, the first cell without its marks, to identify the row."""
        whole = line.partition(QUOTE)[0].split(self.shape.delimiter)[:-1]
        return whole or [line.split(self.shape.delimiter, 1)[0].strip(QUOTE)]

    def _unfinished(self, line: str, continued: list[str | None]) -> Iterator[str]:
        """`line`, and the lines after it while the reader is inside a quoted cell; `continued` collects these."""
        yield line + "\n"
        characters = len(line)
        while len(continued) < MAX_RECORD_LINES and characters <= self._rereadable:
            try:
                further = self._next_line()
            except StopIteration:
                break
            continued.append(further)
            characters += len(further or "")
            if further is None or "\x00" in further or characters > MAX_RECORD_CHARACTERS:
                break
            if self.shape.hides_row(line, further):
                break
            yield further + "\n"
        raise _UnclosedError


def _weight(line: str | None) -> int:
    """The characters of a line with its end."""
    return len(line or "") + 1


class _UnclosedError(Exception):
    """The quotes are not closed."""
