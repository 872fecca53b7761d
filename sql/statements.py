"""Reads the statements of each noun from `sql/<noun>/queries.sql`, each under a line `-- name: ...`, each run by one typed function."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
QUERIES = "queries.sql"
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(noun: str) -> dict[str, str]:
    """The statements of `sql/<noun>/queries.sql` by name.

    Raises:
        ValueError: when two have the same name.
    """
    parts = NAME.split((FOLDER / noun / QUERIES).read_text(encoding="utf-8"))
    names = parts[1::2]
    if len(set(names)) < len(names):
        message = f"sql/{noun}/{QUERIES}: two statements have the same name"
        raise ValueError(message)
    return {name: text.strip() for name, text in zip(names, parts[2::2], strict=True)}


def every_statement() -> dict[str, str]:
    """All statements, by `noun.name`."""
    nouns = sorted(path.parent.name for path in FOLDER.glob(f"*/{QUERIES}"))
    return {f"{noun}.{name}": text for noun in nouns for name, text in statements(noun).items()}
