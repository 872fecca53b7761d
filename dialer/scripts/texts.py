"""Texts with placeholders: `{first name}` stands for a variable of the lead, `{{` and `}}` for a brace.

Pure: no I/O.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# A doubled brace, a placeholder, or a brace that is neither.
TOKEN: Final = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}\x00-\x1f]{1,100})\}|[{}]")
BRACES: Final = {"{{": "{", "}}": "}"}
BETWEEN_WORDS: Final = re.compile(r"[\s_-]+")
# Control and format characters, such as the marks of direction: they are neither seen nor heard.
INVISIBLE: Final = frozenset({"Cc", "Cf"})


class BadTextError(ValueError):
    """A brace that neither begins nor ends a placeholder."""


def variables_in(text: str) -> frozenset[str]:
    """The keys (see `key_of`) of the variables that `text` has placeholders for.

    Raises:
        BadTextError: when a brace is no part of a placeholder.
    """
    found = set()
    for token in TOKEN.finditer(text):
        name = token["name"]
        if name is None and token[0] in BRACES:
            continue
        if name is None or not name.strip():
            raise BadTextError
        found.add(key_of(name))
    return frozenset(found)


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with its placeholders replaced by `values`, found by their keys; one without a value becomes empty.

    A brace within a value is left as it is.
    """

    def replacement(token: re.Match[str]) -> str:
        name = token["name"]
        return values.get(key_of(name), "") if name is not None else BRACES.get(token[0], token[0])

    return TOKEN.sub(replacement, text)


def lead_values(name: str | None, variables: Mapping[str, Any] | None) -> dict[str, str]:
    """The texts that a lead has for placeholders, by their keys: its variables that are text or numbers and not blank, and `name`."""
    values = {} if is_blank(name or "") else {"name": name or ""}
    for title, value in (variables or {}).items():
        text = _text(value)
        if not is_blank(text):
            values[key_of(title)] = text
    return values


# The names of a list repeat in each of its leads.
@lru_cache(maxsize=1_000)
def key_of(name: str) -> str:
    """The key of a variable: its name in small letters, without marks of direction, blanks and hyphens as one underscore."""
    visible = "".join(letter for letter in unicodedata.normalize("NFC", name) if unicodedata.category(letter) != "Cf")
    return BETWEEN_WORDS.sub("_", visible.strip().casefold())


def is_blank(text: str) -> bool:
    """Whether there is nothing in a text that can be read out."""
    return all(letter.isspace() or unicodedata.category(letter) in INVISIBLE for letter in text)


def _text(value: object) -> str:
    """The text of a variable; empty for what is neither text nor a number. A number has no exponent, and no `.0`."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{Decimal(repr(value or 0)):f}".removesuffix(".0")
