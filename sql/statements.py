"""Reads the queries of sql/queries: each begins with a line `-- name: word`, and each has one typed function that runs it.

On the road of a call: not on it; every file of this package takes its statements from here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

QUERIES = Path(__file__).parent / "queries"
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(file: str) -> dict[str, str]:
    """The statements of `queries/<file>.sql` by name.

    Raises:
        ValueError: when a name stands there twice.
    """
    parts = NAME.split((QUERIES / f"{file}.sql").read_text(encoding="utf-8"))
    names = parts[1::2]
    if len(set(names)) < len(names):
        message = f"queries/{file}.sql: a name stands there twice"
        raise ValueError(message)
    return {name: text.strip() for name, text in zip(names, parts[2::2], strict=True)}


def every_statement() -> dict[str, str]:
    """All statements, by `file.name`."""
    return {f"{path.stem}.{name}": text for path in sorted(QUERIES.glob("*.sql")) for name, text in statements(path.stem).items()}
