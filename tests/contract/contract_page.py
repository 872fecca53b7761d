"""Reads docs/contract.md: every row of its tables, with the names it promises and whether it is built."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "contract.md"
NAME = re.compile(r"`([^`]+)`")
CELL = re.compile(r"(?<!\\)\|")
NOT_YET = "not yet: "
ADOPTION = PAGE.with_name("adopt.md")
FAILURE = re.compile(r"^\|\s*(\d*)\s*\| .* \| `(tests/[^`]+)` \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Promise:
    """One name that the page promises: `kind` is the heading of its column, `cells` the rest of its row."""

    section: int
    kind: str
    name: str
    cells: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.section} | {self.kind} | {self.name}"

    @property
    def state(self) -> str:
        """`yes`, or `not yet: ` and what it comes with."""
        return self.cells[-1]

    @property
    def open(self) -> bool:
        return self.state.startswith(NOT_YET)

    @property
    def words(self) -> list[str]:
        """The names in the cell behind the first, split at blanks."""
        return [word for span in NAME.findall(self.cells[0]) for word in span.split()]


@cache
def promises() -> tuple[Promise, ...]:
    """Every promise of the page, in its order."""
    found: list[Promise] = []
    section, header = 0, ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section, header = int(line.removeprefix("## ").split(".")[0]), ""
        elif not line.startswith("|"):
            header = ""
        elif set(line) <= set("|- "):
            continue
        else:
            first, *rest = (cell.strip().replace("\\|", "|") for cell in CELL.split(line.strip().strip("|")))
            if not header:
                header = first.replace("`", "")
                assert rest[-1] == "built", f"section {section}: the table of {header!r} does not say what is built"
            else:
                found += [Promise(section, header, name, tuple(rest)) for name in names(first)]
    return tuple(found)


def names(cell: str) -> list[str]:
    """The names of a first cell: several stand side by side, and one that is explained by others is one."""
    spans = NAME.findall(cell)
    assert spans, f"a row without a name: {cell!r}"
    alone = re.fullmatch(r"(`[^`]+`[ ,]*)+", cell)
    return spans if alone else [cell.replace("`", "")]


def of(section: int, kind: str) -> list[Promise]:
    """The promises of one kind; at least one, or the test that asks would hold nothing."""
    found = [promise for promise in promises() if (promise.section, promise.kind) == (section, kind)]
    assert found, f"section {section} has no table of {kind!r}"
    return found


def old_failures() -> list[tuple[str, str]]:
    """The failures of the old system in docs/adopt.md: number, empty for a second one of the same number, and the test that holds it."""
    return FAILURE.findall(ADOPTION.read_text(encoding="utf-8"))
