"""SQL is bounded as Python is: short functions, short lines, and a reason beside each exception."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

MAX_LINE_COLUMNS = 120
MAX_FUNCTION_LINES = 70
CREATE = re.compile(r"^CREATE OR REPLACE FUNCTION ([\w.]+)")
REASON = re.compile(r"^-- long: \S")
# A CTE of a long function, with the line after its opening parenthesis.
CTE = re.compile(r"^ {4,}(?:WITH|\),) (?P<name>\w+) AS (?:MATERIALIZED )?\(\n(?P<first>.*)$", re.MULTILINE)


@pytest.fixture(scope="session")
def files(root: Path) -> dict[str, str]:
    """Every SQL file by its path from the root of the checkout."""
    return {str(path.relative_to(root)): path.read_text() for path in sorted((root / "sql").glob("*/*.sql"))}


def test_no_line_is_long(files: dict[str, str]) -> None:
    long = [
        f"{path}:{number}: {len(line)} columns"
        for path, text in files.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > MAX_LINE_COLUMNS
    ]
    assert long == []


@dataclass(frozen=True, slots=True)
class Function:
    """An SQL function: the comment lines above it, and its own lines."""

    name: str
    comment: list[str]
    lines: list[str]

    @property
    def has_reason(self) -> bool:
        return any(REASON.match(line) for line in self.comment)


def functions_of(text: str) -> list[Function]:
    """The functions of a file; one ends with the line of its closing `$$;`."""
    found: list[Function] = []
    comment: list[str] = []
    inside = False
    for line in text.splitlines():
        if created := CREATE.match(line):
            found.append(Function(created[1], comment, []))
            inside = True
        if inside:
            found[-1].lines.append(line)
            inside = not line.endswith("$$;")
        comment = [*comment, line] if line.startswith("--") else []
    return found


def test_no_function_is_long_without_a_reason(files: dict[str, str]) -> None:
    functions = [function for text in files.values() for function in functions_of(text)]
    assert functions
    long = [f"{function.name}: {len(function.lines)} lines" for function in functions if len(function.lines) > MAX_FUNCTION_LINES]
    reasons = {function.name for function in functions if function.has_reason}
    assert [line for line in long if line.split(":")[0] not in reasons] == []


def test_each_step_of_a_long_function_says_what_it_does(files: dict[str, str]) -> None:
    long = [function for text in files.values() for function in functions_of(text) if function.has_reason]
    steps = [step for function in long for step in CTE.finditer("\n".join(function.lines))]
    assert steps
    assert [step["name"] for step in steps if not step["first"].lstrip().startswith("-- ")] == []
