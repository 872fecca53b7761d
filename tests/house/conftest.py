"""Our own source, parsed once, for the rules of the house."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("dialer", "sql", "telephony", "actors", "web", "ringmaster")
ALL = (*PRODUCT, "tests", "benchmarks")


@dataclass(frozen=True)
class Module:
    """One file of ours: its path from the root of the checkout, its lines, its syntax tree."""

    path: str
    lines: int
    tree: ast.Module


def read(*folders: str) -> list[Module]:
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    texts = {str(file.relative_to(ROOT)): file.read_text() for file in files}
    # In a thread of its own: after tests that use greenlets, as those of the browser do, CPython 3.11 loses count of the depth of the
    # interpreter's recursion in this one, and the parser refuses to work.
    with ThreadPoolExecutor(1) as thread:
        trees = list(thread.map(ast.parse, texts.values(), texts))
    return [Module(path, len(text.splitlines()), tree) for (path, text), tree in zip(texts.items(), trees, strict=True)]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def product() -> list[Module]:
    """Every module that runs in production."""
    return read(*PRODUCT)


@pytest.fixture(scope="session")
def tests() -> list[Module]:
    """Every module of the tests."""
    return read("tests")


@pytest.fixture(scope="session")
def everything() -> list[Module]:
    """Every module of ours."""
    return read(*ALL)
