"""Finds digits in a phone cell that belong to a note and not to the number: a list number before it, a year or an extension after it.

A cell is grouped by separators. Whether what remains without a group is a number depends on the region, so the caller passes `dialled`,
which gives the number of a row of digits in E.164, or None if it is none that may be called.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# A group of this many digits ends a number.
LONG_GROUP: Final = 7
# A trunk zero and the shortest number after it.
MIN_TRUNK_DIGITS: Final = 7
# A list number ("1.", "12 -") has at most this many digits.
LIST_DIGITS: Final = 2
# Of a cell that has only blanks and hyphens between groups: its beginning, and its last characters, where a group may be a note.
_BEGINS: Final = re.compile(r"[0-9]{1,2}[- ]|\+(?P<code>[0-9]{1,3})[- ]?(?P=code)[- ]|[1-9].*[- ]0(?:[- ]?[0-9]){6}", re.ASCII)
_ENDS: Final = re.compile(r"[0-9]{3} [0-9]{1,2}\Z|[0-9]{5} 0[0-9]{2}\Z|[- ](?:19|20)[0-9]{2}\Z|[0-9]{6} [0-9]{3,4}\Z", re.ASCII)
_END_CHARACTERS: Final = 11
_APART_CHARACTERS: Final = 4
# One or two digits after a group that is not a pair, or three that begin with a zero, as a number does.
_EXTENSION: Final = re.compile(r"[0-9]{3} (?P<short>[0-9]{1,2})\Z|[0-9]{5} (?P<zero>0[0-9]{2})\Z", re.ASCII)
# A year, or digits after a group that could end the number.
_ADDED: Final = re.compile(r"[0-9)] ?[-./ ] ?(?P<year>(?:19|20)[0-9]{2})\Z|[0-9]{6} (?P<more>[0-9]{3,4})\Z", re.ASCII)
_YEAR: Final = re.compile("(?:19|20)[0-9]{2}", re.ASCII)
# A group after a blank, while the groups before it are separated otherwise.
_APART: Final = re.compile(r".*[-./)](?:.*[^0-9])?(?P<before>[0-9]+) (?P<last>[0-9]{1,3})\Z", re.ASCII)


class Tail(NamedTuple):
    """The number of `digits` that end a cell and may be a note; after a long group they are one in any region if they are so `plainly`."""

    digits: int
    plainly: bool = False


def may_have_note(text: str) -> bool:
    """Whether a group of a cell that has only blanks and hyphens between groups could be a note, to be found by the functions below."""
    if _BEGINS.match(text) or _ENDS.search(text, max(0, len(text) - _END_CHARACTERS)):
        return True
    return "-" in text and " " in text[-_APART_CHARACTERS:]


def tail_of(text: str) -> Tail | None:
    """The last group of a cell, if it could be a note."""
    extension = _EXTENSION.search(text)
    if extension:
        return Tail(len(extension["short"] or extension["zero"]), plainly=True)
    added = _ADDED.search(text)
    if added:
        return Tail(len(added["year"] or added["more"]))
    apart = _APART.fullmatch(text)
    return Tail(len(apart["last"])) if apart and _differ(len(apart["before"]), len(apart["last"])) else None


def _differ(before: int, last: int) -> bool:
    """Whether these are no equal groups, such as pairs."""
    return before != last and (last <= LIST_DIGITS or before > last)


def group_lengths(digits: str, separators: Sequence[int]) -> list[int]:
    """The number of digits of each group."""
    return [end - start for start, end in pairwise([0, *separators, len(digits)])]


def has_number_after_zero(digits: str, separators: Sequence[int], written: str, dialled: Callable[[str], str | None]) -> bool:
    """Whether a list number or a year stands before a trunk zero, with which another number than `written` begins: `2 - 0171 1234567`."""
    for end in separators:
        before, rest = digits[:end], digits[end:]
        if rest[0] == "0" and len(rest) >= MIN_TRUNK_DIGITS and (end <= LIST_DIGITS or _YEAR.fullmatch(before)):
            return dialled(rest) not in {None, written}
    return False


def has_list_number(digits: str, separators: Sequence[int], written: str, dialled: Callable[[str], str | None]) -> bool:
    """Whether the first group could be a list number, because without it the cell is another number than the one `written`."""
    if not separators or separators[0] > LIST_DIGITS or digits[0] == "0":
        return False
    return dialled(digits[separators[0] :]) not in {None, written}
