# ruff: noqa: RUF001 - letters that look like others are what this is about
"""Cells as they stand in people's files, and what a person sees in them: written independently of the grammar of the product."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import phonenumbers
from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

# Digits of the scripts the documentation names, as the digit they show.
SHOWN_AS = {chr(zero + n): str(n) for zero in (0x30, 0x660, 0x6F0, 0xFF10) for n in range(10)}
UNSEEN = "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
BETWEEN = " \t\u00a0\u2009\u202f-.\u2010\u2011\u2012\u2013\u2014\u2212\uff0d()/+\uff0b"
ABROAD = {"IL": "00|01[2-9]", "US": "011", "DE": "00", "FR": "00|[4579]0", "IT": "00"}
VANITY = re.compile(r"\+?1[-.](8(?:00|33|44|55|66|77|88))[-.](?:(\d{3})[-.]([A-Z]{4})|([A-Z]{7}))", re.ASCII)
GROUPS = ("ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ")
KEYS = {letter: digit for digit, letters in enumerate(GROUPS, start=2) for letter in letters}

NUMBERS = [
    "050-123-4567", "0521234567", "+972 52-123-4567", "03-912-3456", "(202) 456-1111", "2024561111", "1-202-456-1111", "+1 202 456 1111",
    "030 123456", "030/1234567", "+49 30 1234567", "0151 12345678", "+49 (0)30 123456", "01 42 68 53 00", "01.42.68.53.00", "0612345678",
    "06 69821234", "02 12345678", "+39 06 69821234", "347 1234567", "00972521234567", "212-5501",
]  # fmt: skip
NOTES = [
    "home", "HOME", "Tom", "(Tom)", "Bob", "DNC", "לא להתקשר", "p12", "w12", "x7", "X7", "ext 7", "ext. 12", ";ext=4", ",12", "#9",
    "*9", "/57", " / 57", "~59", "(57)", "or 58", " & 58", "|58", "uff", "xyz", "dgfs", "XXXX", "mobile", "שלוחה 7", "доб. 7", "?", "!",
    ".0", ".00", ".5", "E8", "e+08", ",0", "\n58", "\r58", "\x00", "°", "½", "²", "Ⅷ",
]  # fmt: skip
# They look like digits, and are none, or are digits of a script nobody writes a number with.
ALIKE = {"0": "OoОο०𝟎", "1": "lI|１¹١", "2": "Zz²２", "3": "З３", "5": "S５٥", "6": "б６", "7": "٧７", "8": "B８", "9": "g９"}


@st.composite
def _written(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return draw(st.sampled_from(NUMBERS))
    digits = draw(st.text("0123456789", min_size=5, max_size=15))
    cuts = sorted(draw(st.sets(st.integers(1, len(digits) - 1), max_size=4)))
    parts = [digits[start:end] for start, end in zip([0, *cuts], [*cuts, len(digits)], strict=True)]
    return draw(st.sampled_from(["", "+", "0", "00", "("])) + draw(st.sampled_from(["-", " ", ".", "", "/", " - ", "  "])).join(parts)


def _masked(cell: str, mask: str, count: int) -> str:
    return cell[:-count] + mask * count


def _at(cell: str, place: float, put: str, gone: int = 0) -> str:
    at = int(place * len(cell))
    return cell[:at] + put + cell[at + gone :]


def _second(cell: str, gap: str, other: str) -> str:
    return cell + gap + other


def _marked(cell: str, marks: str) -> str:
    return marks.format(cell)


def _in_script(cell: str, zero: int) -> str:
    return "".join(chr(zero + int(letter)) if letter.isdigit() else letter for letter in cell)


def cells() -> SearchStrategy[str]:
    """Numbers, and numbers with something done to them once or twice, and anything made of the same letters."""
    number = _written()
    changed = st.one_of(
        number,
        st.builds(_masked, number, st.sampled_from("XxNn*#?_A0"), st.integers(1, 5)),
        st.builds(lambda cell, gap, note: cell + gap + note, number, st.sampled_from(["", " ", "-", ", "]), st.sampled_from(NOTES)),
        st.builds(lambda cell, gap, note: note + gap + cell, number, st.sampled_from(["", " ", ": "]), st.sampled_from(NOTES)),
        st.builds(_second, number, st.sampled_from([" ", "/", " / ", ",", ";", "\n", " or ", "  "]), number),
        st.builds(_at, number, st.floats(0, 1), st.sampled_from([*NOTES, *UNSEEN, "\u202e", "\u202d"])),
        st.builds(_at, number, st.floats(0, 1), st.sampled_from("".join(ALIKE.values())), st.just(1)),
        st.builds(_marked, number, st.sampled_from(["'{}", '="{}"', '"{}"', "tel:{}", "TEL: {}", "={}", "{}.0"])),
        st.builds(_in_script, number, st.sampled_from([0x660, 0x6F0, 0xFF10, 0x966])),
        st.builds(
            lambda area, word: f"1-{area}-{word}", st.sampled_from([202, 800, 844, 999]), st.text("ABCDEFXYZ", min_size=3, max_size=8)
        ),
        st.builds(
            lambda area, word: f"1-{area}-555-{word}",
            st.sampled_from([202, 800, 844, 999]),
            st.text("ABCDEFXYZabc", min_size=3, max_size=5),
        ),
        st.text("0123456789XA +-./()'\"=٠٥\u200e", min_size=5, max_size=24),
    )
    return st.one_of(changed, st.builds(_at, changed, st.floats(0, 1), st.sampled_from([*NOTES, *UNSEEN, *"0123456789 -."])))


def shows_more_than_a_number(cell: str) -> bool:
    """Whether a person sees anything beside digits, what stands between them, and the marks of spreadsheets, in no vanity number."""
    seen = _seen(cell)
    return not VANITY.fullmatch(seen) and any(letter not in SHOWN_AS and letter not in BETWEEN for letter in seen)


def dialled_is_shown(cell: str, dialled: str, region: str) -> bool:
    """Whether a number in E.164 is the one a cell shows, but for the prefixes a person may write or leave out."""
    number = phonenumbers.parse(dialled)
    code, national = number.country_code or 0, phonenumbers.national_significant_number(number)
    digits = shown_digits(cell)
    places = [phonenumbers.PhoneMetadata.metadata_for_region(place) for place in phonenumbers.region_codes_for_country_code(code)]
    trunk = "|".join(sorted({place.national_prefix for place in places if place and place.national_prefix}))
    before = digits[: len(digits) - len(national)]
    return digits.endswith(national) and bool(re.fullmatch(f"(?:(?:{ABROAD[region]})?{code})?(?:{trunk})?", before))


def _seen(cell: str) -> str:
    text = "".join(letter for letter in cell if letter not in UNSEEN).strip()
    excel = re.fullmatch(r"""'(.+)|="(.+)\"""", text, re.DOTALL)
    text = (excel[1] or excel[2]).strip() if excel else text
    return re.sub(r"^tel: ?", "", text, flags=re.IGNORECASE)


def shown_digits(cell: str) -> str:
    """The digits a person sees, a vanity number's letters as those of a keypad, a spreadsheet's `.0` as nothing."""
    seen = _seen(cell)
    vanity = VANITY.fullmatch(seen)
    if vanity:
        return "1" + vanity[1] + (vanity[2] or "") + "".join(str(KEYS[letter]) for letter in vanity[3] or vanity[4])
    text = re.sub(r"^(\d+)\.0$", r"\1", seen, flags=re.ASCII)
    return "".join(str(unicodedata.decimal(letter)) for letter in text if letter in SHOWN_AS)


@st.composite
def real_numbers(draw: st.DrawFn, region: str) -> phonenumbers.PhoneNumber:
    """A mobile or fixed-line number that exists in `region`: its example number, or the same with other digits behind the first ones."""
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    examples = [number for kind in kinds if (number := phonenumbers.example_number_for_type(region, kind))]
    example = draw(st.sampled_from(examples))
    national = phonenumbers.national_significant_number(example)
    kept = draw(st.integers(2, len(national)))
    other = national[:kept] + "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=len(national), max_size=len(national))))[kept:]
    number = phonenumbers.parse(f"+{example.country_code}{other}")
    callable_kinds = {*kinds, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE}
    return (
        number if phonenumbers.region_code_for_number(number) == region and phonenumbers.number_type(number) in callable_kinds else example
    )
