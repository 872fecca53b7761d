"""What a command prints at its end: a line for a person, or one JSON object for a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def print_result(fields: Mapping[str, Any], line: str, *, as_json: bool) -> None:
    """Print `fields` as a JSON object, or `line`, which names fields in braces."""
    print(json.dumps(fields, ensure_ascii=False) if as_json else line.format_map(fields))


def printable(text: str) -> str:
    """What others wrote, on one line: nothing of it may steer the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
