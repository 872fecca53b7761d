"""What a command prints: a line for a person, or one JSON object for a program.

Beside the road of a call.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def answer(fields: Mapping[str, Any]) -> None:
    """Print one JSON object on a line."""
    print(json.dumps(fields, ensure_ascii=False))


def say(line: str, fields: Mapping[str, Any]) -> None:
    """Print a line for a person; `line` names the fields in braces."""
    print(line.format_map(fields))
