"""Reads a phone cell by an explicit grammar: the cell is a number alone, or it is rejected. Letters never become digits by accident.

    cell      = number | "'" number | '="' number '"'          Excel's marks for text
    number    = [ "tel:" ] ( written | slashed | float | vanity )
    written   = [ "+" ] groups | "(" [ "+" ] area ")" [ sep ] groups | [ "+" ] prefix [ sep ] "(" area ")" [ sep ] groups
    groups    = digit+ { sep digit+ }
    sep       = [ space ] ( "-" | "." ) [ space ] | space      exactly one between two groups
    slashed   = ( "0" digits | "(0" digits ")" | country digits ) "/" groups   once, after the area code, at least five digits follow
    float     = digit+ ".0"                                    a number a spreadsheet turned into a float; the ".0" is dropped
    vanity    = a toll-free number of North America, see `phones/vanity.py`
    area      = digit{1,6} [ ( " " | "-" ) digit{1,3} ],  digits = digit{1,5}
    prefix    = digit{1,4},  country = ( "+" | "00" ) digit{1,3} sep

Before it is read, invisible marks (direction marks, zero-width and no-break characters, byte order marks) are removed, every kind of
dash becomes "-", every kind of space on one line becomes " ", and the digits of one other script (Arabic, Persian, full width) become
ASCII digits. A mark that makes the cell run from right to left (an override, an embedding, an isolate) is rejected: it shows the digits
or their groups in another order. A date is rejected (see `phones/dates.py`). A cell whose last group is short and follows a dot is a
decimal fraction, not a number. Everything else is rejected: a second number, an extension, a pause, a mask, a word.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

from dialer.phones.dates import DATE_DIGITS, is_date, is_dotted_date
from dialer.phones.notes import Tail, may_have_note, tail_of
from dialer.phones.vanity import vanity_digits

MAX_CELL_CHARACTERS: Final = 200
MAX_NUMBER_CHARACTERS: Final = 40
MAX_SIMPLE_DIGITS: Final = 12


class CellFault(StrEnum):
    """Why a cell is not a number."""

    MISSING = "missing"
    NO_NUMBER = "no_number"
    NOT_ALONE = "not_alone"
    SHORTENED = "shortened"
    MASKED = "masked"
    EXTENSION = "extension"
    TOO_LONG = "too_long"


class CellError(Exception):
    """The cell is not a number alone; `fault` says what is wrong."""

    def __init__(self, fault: CellFault) -> None:
        super().__init__(fault)
        self.fault = fault


class CellReading(NamedTuple):
    """What a cell shows: its ASCII digits in order, and whether they are `international`, that is, follow a plus.

    `altered` is true when more than separators was removed. `north_american` is true for a vanity number, which no other plan has.
    `separators` are the positions in the digits where a group ends. `tail` is the last group if it looks as if it was added to a complete
    number (an extension, a year, the start of a second number). `dotted` is true when the cell may be a date written with dots. `plain` is
    true when it is certain without the region that no group is a note.
    """

    digits: str
    international: bool
    altered: bool = False
    north_american: bool = False
    separators: tuple[int, ...] = ()
    tail: Tail | None = None
    dotted: bool = False
    plain: bool = False


# Most cells of most files; a property test checks that this agrees with the grammar.
SIMPLE: Final = re.compile(r"\+?[0-9]+(?:[- ][0-9]+)*", re.ASCII)
# An area code in parentheses, and the groups of North America with dots: read as if hyphens separated them.
_AREA_FIRST: Final = re.compile(r"\(([0-9]{3,4})\)[- ]?([0-9]+(?:[- ][0-9]+)*)", re.ASCII)
_DOTS: Final = re.compile(r"[0-9]{3}\.[0-9]{3}\.[0-9]{4}", re.ASCII)
_SEPARATORS: Final = str.maketrans("", "", " +-")
# Including the embeddings and isolates that leave digits as they are: contacts copied from a telephone are wrapped in them.
_INVISIBLE: Final = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a\u202c\u2060-\u2064\u2066\u2068\u2069\ufeff]")
# Overrides in either direction, and the marks that set the groups of a number from right to left (RLE, RLI).
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
# A fraction: a short last group after a dot. Three or more pairs are the French way of writing a number.
_FRACTION: Final = re.compile(r".*\.[0-9]{1,2}", re.ASCII)
_PAIRS: Final = re.compile(r"(?:.*[^0-9.])?[0-9]{1,2}(?:\.[0-9]{2}){2,}", re.ASCII)
_DECIMAL: Final = re.compile(r"\+?(?P<whole>[0-9]+)\.(?P<part>[0-9]+)", re.ASCII)
_AREA_DIGITS: Final = 5
_TEL: Final = re.compile(r"tel: ?", re.ASCII | re.IGNORECASE)
_EXCEL: Final = re.compile(r"""'(?P<quoted>[^'"]+)|="(?P<formula>[^'"]+)\"""")
_EXTENSION: Final = re.compile(
    r"[+0-9(][0-9 ().-]{4,}(?:;ext=|;|,|#|\s*(?:ext(?:ension)?|durchwahl|שלוחה|x|p|w)[.:]?)\s*[0-9]{1,6}", re.IGNORECASE
)
_ONLY_SEPARATORS: Final = re.compile(r"[0-9 ().+-]+", re.ASCII)
# A number a spreadsheet has written as a power of ten; its last digits are lost.
_SCIENTIFIC: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?E[+-]?[0-9]{1,3}", re.ASCII | re.IGNORECASE)
_MASKED: Final = re.compile(r"[0-9 ().+/-]*[0-9][0-9 ().+/-]*(?:[Xx]{2,}|[*#]{2,}|•+|_{2,}|\?{2,})[0-9Xx*#•_? ().+/-]*", re.ASCII)


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
    vanity = vanity_digits(bare)
    if vanity:
        return CellReading(vanity[0], international=vanity[1], altered=True, north_american=True)
    whole = _FLOAT.fullmatch(bare)
    number = whole[1] if whole else bare
    if not _is_number(number):
        raise CellError(_fault(text))
    return _reading(number, altered=altered or number != text)


def simple(cell: str) -> CellReading | None:
    """The number of a cell that has nothing but digits, single spaces and hyphens after an optional plus or an area code in parentheses.

    None for any other cell, and for one that might be two numbers, a date, or a number with a note; so `separators` and `tail` are not
    needed.
    """
    if len(cell) > MAX_NUMBER_CHARACTERS:
        return None
    text = _with_hyphens(cell)
    if not SIMPLE.fullmatch(text) or not _is_plain(text):
        return None
    digits = text.translate(_SEPARATORS)
    return CellReading(digits, text[0] == "+", plain=True) if len(digits) <= MAX_SIMPLE_DIGITS else None


def _with_hyphens(cell: str) -> str:
    if cell[:1] == "(" and (area := _AREA_FIRST.fullmatch(cell)):
        return f"{area[1]}-{area[2]}"
    return cell.replace(".", "-") if "." in cell and _DOTS.fullmatch(cell) else cell


def _is_plain(cell: str) -> bool:
    """Whether no group of a simple cell could be a note, and the cell is no date."""
    if cell.isdigit():
        return len(cell) != DATE_DIGITS or not is_date(cell)
    return not may_have_note(cell) and not is_date(cell)


def _plain(cell: str) -> tuple[str, bool]:
    """The cell in ASCII as far as the grammar allows, and whether more than separators changed."""
    if _REORDERING.search(cell):
        raise CellError(CellFault.NOT_ALONE)
    visible = _INVISIBLE.sub("", cell)
    text = _DASHES.sub("-", _SPACES.sub(" ", visible)).strip()
    ascii_text = _ascii_digits(text)
    return ascii_text, ascii_text != text or visible != cell


def _ascii_digits(text: str) -> str:
    """The text with the digits of one script as ASCII; a cell that mixes scripts is unchanged, and will be rejected."""
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
    return inner[scheme.end() :] if (scheme := _TEL.match(inner)) else inner


def _is_number(text: str) -> bool:
    if is_date(text):
        return False
    slashed = _SLASHED.fullmatch(text)
    if slashed:
        return len(re.findall("[0-9]", slashed["rest"])) >= _AREA_DIGITS and not _is_decimal(text)
    return bool(_WRITTEN.fullmatch(text)) and not _is_decimal(text)


def _is_decimal(text: str) -> bool:
    """Whether the dot in `text` is a decimal point: more digits before it than an area code has, or fewer after it than a number has."""
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        return len(decimal["whole"]) > _AREA_DIGITS or len(decimal["part"]) < _AREA_DIGITS
    return bool(_FRACTION.fullmatch(text)) and not _PAIRS.fullmatch(text)


def _reading(number: str, *, altered: bool) -> CellReading:
    groups = re.findall("[0-9]+", number)
    ends = [sum(map(len, groups[:count])) for count in range(1, len(groups))]
    return CellReading(
        "".join(groups),
        number.lstrip("(").startswith("+"),
        altered,
        separators=tuple(ends),
        tail=tail_of(number),
        dotted=is_dotted_date(number),
        plain=bool(SIMPLE.fullmatch(number)) and _is_plain(number),
    )


def _fault(text: str) -> CellFault:
    """Why a cell is not a number alone."""
    if not re.search(r"\d", text):
        return CellFault.NO_NUMBER
    if _SCIENTIFIC.fullmatch(text):
        return CellFault.SHORTENED
    if _MASKED.fullmatch(text):
        return CellFault.MASKED
    return CellFault.EXTENSION if _EXTENSION.fullmatch(text) else CellFault.NOT_ALONE
