"""The pages name files that exist, and every page can be reached from another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# A path of the checkout in backticks; a name with a placeholder or a star is none.
PATH = re.compile(r"`((?:actors|benchmarks|dialer|docs|ops|ringmaster|sql|telephony|tests|web)/[\w./-]*)`")
LINK = re.compile(r"\]\(([^)#:]+)")
# A decision says what was so on its day.
PAST = "decisions"


def pages(root: Path) -> list[Path]:
    return [*root.glob("*.md"), *(root / "docs").rglob("*.md")]


def test_every_path_exists(root: Path) -> None:
    named = {(page.name, path) for page in pages(root) if page.parent.name != PAST for path in PATH.findall(page.read_text())}
    # Made by `make bench`, and by the tests.
    generated = {"benchmarks/results/", "benchmarks/results/chaos.json"}
    assert sorted(f"{page}: {path}" for page, path in named if path not in generated and not (root / path).exists()) == []


def test_every_link_leads_somewhere(root: Path) -> None:
    links = {(page, link) for page in pages(root) for link in LINK.findall(page.read_text()) if link not in {"http", "https"}}
    assert sorted(f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()) == []


def test_every_page_is_linked(root: Path) -> None:
    linked = {(page.parent / link).resolve() for page in pages(root) for link in LINK.findall(page.read_text())}
    docs = [page for page in (root / "docs").glob("*.md") if page.resolve() not in linked]
    assert docs == []
