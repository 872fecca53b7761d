"""The figures that the README and docs/scale.md cite were measured, or follow from figures that were."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?!\w|\.\d)")
CODE = re.compile(r"`[^`]*`")
SOURCES = ("benchmarks.md", "guarantees.md")
# Of docs/scale.md: what is computed, from the figures that stand beside it there. A figure is rounded.
COMPUTED = {
    "| 5.5 | 4.5 | 6.1 |": (1_000 * 0.45 / 81.5, 1_000 * 0.37 / 81.5, 1_000 * 0.50 / 81.5),
    "(5.5 + 4.5 + 6.1) ms = 0.8 of a core": (5.5, 4.5, 6.1, 50 * (5.5 + 4.5 + 6.1) / 1_000),
    "100 calls a second take 0.6 of a core of PostgreSQL": (100, 100 * 6.1 / 1_000),
    "They are 2,000 businesses": (100 * 60 / 3,),
    "3,000 / 60 = 50 a second": (1_000 * 3, 60, 3_000 / 60),
    "1,000 / 1.09 = 920 calls a second, a web process's core 710, each core of PostgreSQL 980": (
        1_000, 1.09, 1_000 / 1.09, 1_000 / 1.40, 1_000 / 1.02,
    ),
    "3 / 60 = 0.05 calls a second": (3, 60, 3 / 60),
    "3,600 calls an hour": (60 * 60,),
    "104 KB/s, 9.0 GB a day": (50 * 2_077 / 1_000, 50 * 2_077 * 86_400 / 1e9),
    "A million leads that were called once are 1.4 GB": (1_364 * 1e6 / 1e9,),
    "(2 x 2 x 4 + 2 = 18) | 3 (4 x 4 + 2 = 18)": (2, 2, 4, 2, 2 * 2 * 4 + 2, 3, 4, 4, 2, (3 + 1) * 4 + 2),
    "97 | 10 | 4 (82) | 8 (92)": (100 - 3, 10, 4, 2 * 4 * 10 + 2, 8, (8 + 1) * 10 + 2),
    "97 | 4 | 11 (90) | 22 (94)": (100 - 3, 4, 11, 2 * 11 * 4 + 2, 22, (22 + 1) * 4 + 2),
    "in 256 partitions: more than 256 have": (256, 256),
}  # fmt: skip
ROUNDED = 0.03


def numbers(text: str) -> list[str]:
    """Those in the text of a page, without names and commands."""
    return NUMBER.findall(CODE.sub("", text))


def value(number: str) -> float:
    return float(number.replace(",", ""))


def uncited(text: str, root: Path) -> list[str]:
    """The numbers of this text that no source has, not even with more digits."""
    measured = {value(number) for source in SOURCES for number in NUMBER.findall((root / "docs" / source).read_text())}

    def stands(number: str) -> bool:
        digits = len(number.partition(".")[2])
        return any(value(number) in {one, round(one, digits)} for one in measured)

    return [number for number in numbers(text) if not stands(number)]


def figures_of_readme(root: Path) -> list[tuple[str, str]]:
    """The figures, each with what shows it."""
    section = (root / "README.md").read_text().partition("\n## Figures\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [(figure, shown) for figure, shown in rows[2:]]


def test_the_readme_cites_what_was_measured_and_says_how(root: Path) -> None:
    lines = figures_of_readme(root)
    assert len(lines) == 5
    assert [number for figure, _ in lines for number in uncited(figure, root)] == []
    assert [shown for _, shown in lines if not re.fullmatch(r" `[^`]*make (bench|test) ARGS=[^`]+` ", shown)] == []


def test_the_page_of_sizes_cites_what_was_measured(root: Path) -> None:
    text = (root / "docs" / "scale.md").read_text()
    for fragment in COMPUTED:
        text = text.replace(fragment, "")
    assert uncited(text, root) == []


@pytest.mark.parametrize("fragment", COMPUTED)
def test_the_page_of_sizes_computes_right(root: Path, fragment: str) -> None:
    assert fragment in (root / "docs" / "scale.md").read_text()
    found = [value(number) for number in numbers(fragment)]
    assert found == pytest.approx(COMPUTED[fragment], rel=ROUNDED)


def test_a_figure_that_nobody_measured_is_found(root: Path) -> None:
    assert uncited("up to 345 calls a second, 346.7 MB, 2,642 and 26,420 calls", root) == ["346.7", "26,420"]
