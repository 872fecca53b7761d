"""Recognizes dates in a phone cell, with separators or as eight digits, so that none is dialled.

A year stands first or last, and has four digits; with hyphens or slashes it may be of another calendar (Hijri, Buddhist), or have two
digits. Eight digits alone are a date if they are year, month, day or day, month, year (month and day in either order).
"""

from __future__ import annotations

import re
from typing import Final

_DAY: Final = r"(?:0?[1-9]|[12][0-9]|3[01])"
_MONTH: Final = r"(?:0?[1-9]|1[0-2])"
_YEAR: Final = r"(?:19|20)[0-9]{2}"
_ANY_YEAR: Final = r"(?:1[3-9]|2[0-6])[0-9]{2}"


def _days(mark: str) -> str:
    return f"(?:{_DAY}{mark}{_MONTH}|{_MONTH}{mark}{_DAY})"


# With a time or anything else after it.
_WRITTEN: Final = re.compile(
    rf"(?:{_YEAR} {_days(' ')}"
    rf"|{_days(' ')} {_YEAR}"
    rf"|{_YEAR} ?[-./ ] ?{_MONTH} ?[-./ ] ?{_YEAR}"
    rf"|{_ANY_YEAR} ?(?P<a>[-./]) ?{_days(' ?(?P=a) ?')}"
    rf"|(?:{_DAY} ?(?P<b>[-./]) ?{_MONTH}|{_MONTH} ?(?P<c>[-./]) ?{_DAY}) ?(?:(?P=b)|(?P=c)) ?{_ANY_YEAR})(?![0-9])",
    re.ASCII,
)
# Two digits for the year: nothing else may follow. With dots some small countries write their numbers so.
_SHORT: Final = re.compile(
    rf"[0-9]{{2}} ?(?P<a>[-/]) ?{_days(' ?(?P=a) ?')}|{_DAY} ?(?P<b>[-/]) ?{_MONTH} ?(?P=b) ?[0-9]{{2}}"
    rf"|{_MONTH} ?(?P<c>[-/]) ?{_DAY} ?(?P=c) ?[0-9]{{2}}",
    re.ASCII,
)
_DOTTED: Final = re.compile(rf"{_DAY}\.{_MONTH}\.[0-9]{{2}}|[0-9]{{2}}\.{_MONTH}\.{_DAY}", re.ASCII)
DATE_DIGITS: Final = 8
_MONTH_2: Final = "(?:0[1-9]|1[0-2])"
_DAY_2: Final = "(?:0[1-9]|[12][0-9]|3[01])"
_EIGHT: Final = re.compile(rf"{_YEAR}(?:{_MONTH_2}{_DAY_2}|{_DAY_2}{_MONTH_2})|(?:{_MONTH_2}{_DAY_2}|{_DAY_2}{_MONTH_2}){_YEAR}", re.ASCII)


def is_date(text: str) -> bool:
    """Whether a cell begins with a date, or is one of two-digit years or of eight digits."""
    return bool(_WRITTEN.match(text) or _SHORT.fullmatch(text) or _EIGHT.fullmatch(text))


def is_dotted_date(text: str) -> bool:
    """Whether a cell is a date of two-digit years with dots, or a number of a country that writes three pairs so."""
    return bool(_DOTTED.fullmatch(text))
