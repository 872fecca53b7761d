"""Reads a phone cell by a written grammar: a number alone, or nothing. Digits come out; letters never become digits by accident.

    cell      = number | "'" number | '="' number '"'          Excel's marks for text
    number    = [ "tel:" ] ( written | slashed | float | vanity )
    written   = [ "+" ] groups | "(" [ "+" ] area ")" [ sep ] groups | [ "+" ] prefix [ sep ] "(" area ")" [ sep ] groups
    groups    = digit+ { sep digit+ }
    sep       = [ space ] ( "-" | "." ) [ space ] | space      one between two groups, never two
    slashed   = ( "0" digits | "(0" digits ")" | country digits ) "/" groups   once, behind the area code, at least five digits follow
    float     = digit+ ".0"                                    what a spreadsheet made of a number; the ".0" is dropped
    vanity    = [ "+" ] "1-" digit{3} "-" ( digit{3} "-" letter{4} | letter{7} )    North America, "." instead of "-" throughout allowed
    area      = digit{1,6} [ ( " " | "-" ) digit{1,3} ],  digits = digit{1,5}
    prefix    = digit{1,4},  country = ( "+" | "00" ) digit{1,3} sep

Before it is read, invisible marks (direction marks, zero-width and no-break characters, byte order marks) are removed, every kind of
dash becomes "-", every kind of space on one line becomes " ", and the digits of one other script (Arabic, Persian, full width) become
our digits. A mark that makes the cell run from right to left (an override, an embedding, an isolate) is refused: it shows the digits or
their groups in another order. A date is refused, with or without a time behind it. A cell whose last group stands behind a dot and is
short is a decimal fraction, not a number. Letters of a vanity number are capitals, hold at most one X, no letter three times in a row, and
are no word that is written as a note (HOME, WORK ...). Everything else is refused: a second number, an extension, a pause, a mask, a word.

On the road of a call: 1; only what stands in the cell is ever dialled.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

MAX_CELL_CHARACTERS: Final = 200
MAX_NUMBER_CHARACTERS: Final = 40
MAX_SIMPLE_DIGITS: Final = 12
# A tail, and what is looked at before it.
_TAIL_CHARACTERS: Final = 9


class CellFault(StrEnum):
    """Why a cell is not a number."""

    MISSING = "missing"
    NO_NUMBER = "no_number"
    NOT_ALONE = "not_alone"
    EXTENSION = "extension"
    TOO_LONG = "too_long"


class CellError(Exception):
    """The cell is not a number alone; `fault` says what it is."""

    def __init__(self, fault: CellFault) -> None:
        super().__init__(fault)
        self.fault = fault


class CellReading(NamedTuple):
    """What a cell shows: its ASCII digits in order, and whether they are `international`, that is behind a plus.

    `altered` is true where more than separators was removed. `north_american` is true for a vanity number, which no other plan has.
    `separators` are the places in the digits where a group ends. `tail` is how many digits stand behind a blank as if they were written
    behind a whole number (an extension, the start of a second number); 0 where there are none.
    """

    digits: str
    international: bool
    altered: bool = False
    north_american: bool = False
    separators: tuple[int, ...] = ()
    tail: int = 0


# The bulk of all files, to the same answer as the grammar (a property of the tests).
SIMPLE: Final = re.compile(r"\+?[0-9]+(?:[- ][0-9]+)*", re.ASCII)
_SEPARATORS: Final = str.maketrans("", "", " +-")
# Among them the embeddings and isolates that leave digits as they are: contacts copied from a telephone come within them.
_INVISIBLE: Final = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a\u202c\u2060-\u2064\u2066\u2068\u2069\ufeff]")
# Overrides either way, and what sets the groups of a number from right to left (RLE, RLI).
_REORDERING: Final = re.compile("[\u202b\u202d\u202e\u2067]")
_SPACES: Final = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_DASHES: Final = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
# Zero of the scripts whose digits people write numbers with: Arabic, Persian and Urdu, full width.
_ZEROS: Final = ("\u0660", "\u06f0", "\uff10")
_FULL_WIDTH_PLUS: Final = "\uff0b"

_SEP: Final = r"(?: ?[-.] ?| )"
_AREA: Final = r"[0-9]{1,6}(?:[ -][0-9]{1,3})?"
_GROUPS: Final = rf"[0-9]+(?:{_SEP}[0-9]+)*"
_WRITTEN: Final = re.compile(
    rf"(?:\+ ?)?{_GROUPS}"
    rf"|\((?:\+ ?)?{_AREA}\){_SEP}?{_GROUPS}"
    rf"|(?:\+ ?)?[0-9]{{1,4}}{_SEP}?\({_AREA}\){_SEP}?{_GROUPS}",
    re.ASCII,
)
_SLASHED: Final = re.compile(
    rf"(?:0[0-9]{{1,5}}|\(0[0-9]{{1,5}}\)|(?:\+ ?|00)[0-9]{{1,3}}{_SEP}(?:\(0\) ?)?[0-9]{{1,5}}) ?/ ?(?P<rest>{_GROUPS})", re.ASCII
)
_FLOAT: Final = re.compile(r"([0-9]{2,})\.0", re.ASCII)
# A fraction: a short last group behind a dot. Three pairs and more are the French way of writing a number.
_FRACTION: Final = re.compile(r".*\.[0-9]{1,2}", re.ASCII)
_PAIRS: Final = re.compile(r"(?:.*[^0-9.])?[0-9]{1,2}(?:\.[0-9]{2}){2,}", re.ASCII)
_DECIMAL: Final = re.compile(r"\+?(?P<whole>[0-9]+)\.(?P<part>[0-9]+)", re.ASCII)
_AREA_DIGITS: Final = 5
_DAY: Final = r"(?:0?[1-9]|[12][0-9]|3[01])"
_MONTH: Final = r"(?:0?[1-9]|1[0-2])"
_YEAR: Final = r"(?:19|20)[0-9]{2}"
_DATE: Final = re.compile(
    rf"(?:{_YEAR}(?P<a> ?[-./] ?| ){_MONTH}(?P=a){_DAY}"
    rf"|(?:{_DAY}(?P<b> ?[-./] ?| ){_MONTH}(?P=b)|{_MONTH}(?P<c> ?[-./] ?| ){_DAY}(?P=c)){_YEAR})(?![0-9])",
    re.ASCII,
)
# One or two digits behind a group that is no pair, or three that begin as a number does.
_TAIL: Final = re.compile(r"[0-9]{3} (?P<short>[0-9]{1,2})\Z|[0-9]{5} (?P<zero>0[0-9]{2})\Z", re.ASCII)
_VANITY: Final = re.compile(r"(\+?)1([-.])([2-9][0-9]{2})\2(?:([2-9][0-9]{2})\2([A-Z]{4})|([A-Z]{7}))", re.ASCII)
_TEL: Final = re.compile(r"tel: ?", re.ASCII | re.IGNORECASE)
_EXCEL: Final = re.compile(r"""'(?P<quoted>[^'"]+)|="(?P<formula>[^'"]+)\"""")
_EXTENSION: Final = re.compile(
    r"[+0-9(][0-9 ().-]{4,}(?:;ext=|;|,|#|\s*(?:ext(?:ension)?|durchwahl|שלוחה|x|p|w)[.:]?)\s*[0-9]{1,6}", re.IGNORECASE
)
_ONLY_SEPARATORS: Final = re.compile(r"[0-9 ().+-]+", re.ASCII)
_TRIPLE: Final = re.compile(r"([A-Z])\1\1")
_KEYPAD: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
# Capitals behind an unfinished number that say something about it, instead of being it.
_NOTES: Final = frozenset({
    "HOME", "WORK", "CELL", "MAIN", "DESK", "VOIP", "NONE", "NULL", "VOID", "DEAD", "TEST", "STOP", "GONE", "LEFT", "SELF", "WIFE", "LINE",
    "ABCD", "WXYZ", "UNKNOWN", "PRIVATE", "REFUSED", "REMOVED", "DELETED", "INVALID", "MISSING", "BLOCKED", "EXPIRED", "PENDING", "NOPHONE",
    "NUMBERS", "ABCDEFG",
})  # fmt: skip


def read_cell(cell: str) -> CellReading:
    """The number a cell shows, by the grammar above.

    Raises:
        CellError: when the cell is not a number alone.
    """
    if not cell.strip():
        raise CellError(CellFault.MISSING)
    if len(cell) > MAX_CELL_CHARACTERS:
        raise CellError(CellFault.TOO_LONG if _ONLY_SEPARATORS.fullmatch(cell.strip()) else CellFault.NO_NUMBER)
    text, altered = _plain(cell)
    if not text:
        raise CellError(CellFault.MISSING)
    if len(text) > MAX_NUMBER_CHARACTERS:
        raise CellError(CellFault.TOO_LONG if _ONLY_SEPARATORS.fullmatch(text) else _fault(text))
    bare = _without_marks(text)
    vanity = _vanity(bare)
    if vanity:
        return vanity
    whole = _FLOAT.fullmatch(bare)
    number = whole[1] if whole else bare
    if not _is_number(number):
        raise CellError(_fault(text))
    return _dialled(number, altered=altered or number != text)


def simple(cell: str) -> CellReading | None:
    """The number of a cell that has nothing but digits, single spaces and hyphens behind an optional plus; None for any other cell.

    None too when it is so long that it might be two, a date, or one with a tail; so `separators` and `tail` are not needed.
    """
    if len(cell) > MAX_NUMBER_CHARACTERS or not SIMPLE.fullmatch(cell):
        return None
    if not cell.isdigit() and (_DATE.match(cell) or _TAIL.search(cell, len(cell) - _TAIL_CHARACTERS)):
        return None
    digits = cell.translate(_SEPARATORS)
    return CellReading(digits, cell[0] == "+") if len(digits) <= MAX_SIMPLE_DIGITS else None


def _plain(cell: str) -> tuple[str, bool]:
    """The cell in ASCII as far as the grammar allows for it, and whether more than separators changed."""
    if _REORDERING.search(cell):
        raise CellError(CellFault.NOT_ALONE)
    visible = _INVISIBLE.sub("", cell)
    text = _DASHES.sub("-", _SPACES.sub(" ", visible)).strip()
    ours = _our_digits(text)
    return ours, ours != text or visible != cell


def _our_digits(text: str) -> str:
    """The digits of one script as ASCII; a cell that mixes scripts stays as it is, and is refused."""
    if text.isascii():
        return text
    for zero in _ZEROS:
        digits = {ord(zero) + n: str(n) for n in range(10)}
        if any(ord(letter) in digits for letter in text):
            # Full width has a plus of its own.
            table = {**digits, ord(_FULL_WIDTH_PLUS): "+"}
            return text if re.search("[0-9]", text) else text.translate(table)
    return text


def _without_marks(text: str) -> str:
    excel = _EXCEL.fullmatch(text)
    inner = (excel["quoted"] or excel["formula"]).strip() if excel else text
    return inner[found.end() :] if (found := _TEL.match(inner)) else inner


def _is_number(text: str) -> bool:
    if _DATE.match(text):
        return False
    slashed = _SLASHED.fullmatch(text)
    if slashed:
        return len(re.findall("[0-9]", slashed["rest"])) >= _AREA_DIGITS and not _is_decimal(text)
    return bool(_WRITTEN.fullmatch(text)) and not _is_decimal(text)


def _is_decimal(text: str) -> bool:
    """Whether the dot of `text` is a decimal point: behind more digits than an area code has, or before fewer than a number has."""
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        return len(decimal["whole"]) > _AREA_DIGITS or len(decimal["part"]) < _AREA_DIGITS
    return bool(_FRACTION.fullmatch(text)) and not _PAIRS.fullmatch(text)


def _vanity(text: str) -> CellReading | None:
    found = _VANITY.fullmatch(text)
    if found is None:
        return None
    letters = found[5] or found[6]
    if letters.count("X") > 1 or _TRIPLE.search(letters) or letters in _NOTES:
        return None
    digits = f"1{found[3]}{found[4] or ''}{letters.translate(_KEYPAD)}"
    return CellReading(digits, international=bool(found[1]), altered=True, north_american=True)


def _dialled(number: str, *, altered: bool) -> CellReading:
    groups = re.findall("[0-9]+", number)
    ends = [sum(map(len, groups[:count])) for count in range(1, len(groups))]
    tail = _TAIL.search(number)
    behind = len(tail["short"] or tail["zero"]) if tail else 0
    return CellReading("".join(groups), number.lstrip("(").startswith("+"), altered, separators=tuple(ends), tail=behind)


def _fault(text: str) -> CellFault:
    """What to say of a cell that is not a number alone; nothing is dialled by this answer."""
    if not re.search(r"\d", text):
        return CellFault.NO_NUMBER
    return CellFault.EXTENSION if _EXTENSION.fullmatch(text) else CellFault.NOT_ALONE
