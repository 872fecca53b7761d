"""Reads vanity numbers, the only cells whose letters become digits: toll-free numbers of North America, complete and with their prefix.

    vanity    = [ "+" ] "1-" tollfree "-" ( digit{3} "-" letter{4} | letter{7} )     "." instead of "-" throughout allowed
    tollfree  = "800" | "833" | "844" | "855" | "866" | "877" | "888"

Four or seven capitals after any other number are as often a note about it (SOLD, BUSY, FAKE), and no list of notes is ever complete. The
notes listed here are refused among toll-free numbers too, wherever they stand in the letters.
"""

from __future__ import annotations

import re
from typing import Final

_VANITY: Final = re.compile(r"(\+?)1([-.])(800|833|844|855|866|877|888)\2(?:([2-9][0-9]{2})\2([A-Z]{4})|([A-Z]{7}))", re.ASCII)
_TRIPLE: Final = re.compile(r"([A-Z])\1\1")
_KEYPAD: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_NOTES: Final = (
    "HOME", "WORK", "CELL", "MAIN", "DESK", "VOIP", "NONE", "NULL", "VOID", "DEAD", "TEST", "STOP", "GONE", "LEFT", "SELF", "WIFE", "LINE",
    "ABCD", "WXYZ", "UNKNOWN", "PRIVATE", "REFUSE", "REMOVE", "DELETE", "INVALID", "MISSING", "BLOCK", "EXPIRE", "PENDING", "NOPHONE",
    "NUMBER", "WRONG", "DECEAS", "NOTREAL", "NOTHERE", "DONT", "DONOT", "NOCALL", "FAKE", "SOLD", "BUSY", "MOBI", "LOST", "SKIP", "NOPE",
    "HIDE", "TODO", "DUMMY", "SAMPLE", "OFFICE",
)  # fmt: skip


def vanity_digits(text: str) -> tuple[str, bool] | None:
    """The digits of a vanity number, and whether it has a plus; None for any other text."""
    match = _VANITY.fullmatch(text)
    if match is None:
        return None
    letters = match[5] or match[6]
    if letters.count("X") > 1 or _TRIPLE.search(letters) or any(note in letters for note in _NOTES):
        return None
    return f"1{match[3]}{match[4] or ''}{letters.translate(_KEYPAD)}", bool(match[1])
