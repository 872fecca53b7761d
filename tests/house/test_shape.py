"""Files and functions stay short, and say what they are.

On the road of a call: nowhere; it keeps the road readable.
"""

from __future__ import annotations

import ast
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.house.conftest import Module

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# Names that say nothing: such a file collects what has no place.
EMPTY_NAMES = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}


def test_no_file_is_long(everything: list[Module]) -> None:
    assert [f"{module.path}: {module.lines} lines" for module in everything if module.lines > MAX_FILE_LINES] == []


def test_no_function_is_long(everything: list[Module]) -> None:
    long = [
        f"{module.path}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for module in everything
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_every_module_says_what_it_does(everything: list[Module]) -> None:
    assert [module.path for module in everything if not ast.get_docstring(module.tree)] == []


def test_every_module_says_where_on_the_road_of_a_call_it_stands(product: list[Module]) -> None:
    lost = []
    for module in product:
        last = (ast.get_docstring(module.tree) or "").rsplit("\n\n", 1)[-1]
        if "road" not in last and PurePath(module.path).name != "__init__.py":
            lost.append(module.path)
    assert lost == []


def test_no_file_has_an_empty_name(everything: list[Module]) -> None:
    assert [module.path for module in everything if EMPTY_NAMES & {*PurePath(module.path).parts, PurePath(module.path).stem}] == []
