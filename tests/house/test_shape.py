"""Files, functions and folders stay small, and each module has a place and a name of its own."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import PurePath
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.house.conftest import Module

MAX_FILE_LINES = 400
P90_FILE_LINES = 210
MAX_FUNCTION_LINES = 60
MEDIAN_FUNCTION_LINES = 7
P90_FUNCTION_LINES = 16
MAX_MODULES = 12
MAX_STEPS = 8
OUR_PACKAGES = {"actors", "dialer", "ringmaster", "sql", "telephony", "web"}
# Names that say nothing: such a file collects code that has no place.
EMPTY_NAMES = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}
# The same noun may have a module on each floor: what is stored of it, what one may do with it, and where it is shown.
FLOORS = ("sql", "web/operations", "web/api", "web/pages", "ringmaster/commands")
# Other names that occur more than once, and why.
REPEATED = {
    "__main__": "the processes and tools of `python -m`",
    "addresses": "of the settings, and of a request behind proxies",
    "business": "the supervisor of one, and the command that creates one",
    "client": "of Redis, of Twilio, of our own API: the package says of what",
    "deliveries": "of the events to webhooks, and of the simulator's callbacks",
    "errors": "one module a package",
    "messages": "between processes, and within the worker",
    "metrics": "of the web process and of the worker",
    "postgres": "the embedded server, and what is checked of one",
    "progress": "what the worker publishes, and what a terminal shows",
    "refusals": "of the provider, and how the simulator sends them",
    "routes": "one module a group of addresses",
    "shares": "the arithmetic, and the connection pool that uses it",
    "webhooks": "of businesses, on each floor, and the simulator's client for the callbacks of a call",
}
STEP = re.compile(r"^(\d)\. `([^`]+)`", re.MULTILINE)


def functions(modules: list[Module]) -> Iterator[tuple[str, int]]:
    """Every function with its place and its number of lines."""
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module.path}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def p90(values: Sequence[int]) -> int:
    """The value that nine in ten do not exceed."""
    return sorted(values)[int(0.9 * (len(values) - 1))]


def modules_by_name(product: list[Module]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for module in product:
        if not module.path.endswith("__init__.py"):
            names[PurePath(module.path).stem].append(module.path)
    return names


def floor(path: str) -> str | None:
    """The floor of a module, if it is on one."""
    return next((name for name in FLOORS if path.startswith(f"{name}/")), None)


def on_one_floor_each(paths: list[str]) -> bool:
    floors = [floor(path) for path in paths]
    return None not in floors and len(set(floors)) == len(floors)


def road(root: Path) -> list[tuple[int, str]]:
    """The steps of the road of a call and their files, as docs/architecture.md lists them."""
    text = (root / "docs" / "architecture.md").read_text()
    section = text.split("## 3. The road of a call", 1)[1].split("\n## ", 1)[0]
    return [(int(number), path) for number, path in STEP.findall(section)]


def test_no_file_is_long(everything: list[Module]) -> None:
    assert [f"{module.path}: {module.lines} lines" for module in everything if module.lines > MAX_FILE_LINES] == []


def test_no_function_is_long(everything: list[Module]) -> None:
    assert [f"{place}: {lines} lines" for place, lines in functions(everything) if lines > MAX_FUNCTION_LINES] == []


def test_most_files_and_functions_are_short(product: list[Module]) -> None:
    lengths = [lines for _, lines in functions(product)]
    assert median(lengths) <= MEDIAN_FUNCTION_LINES
    assert p90(lengths) <= P90_FUNCTION_LINES
    assert p90([module.lines for module in product]) <= P90_FILE_LINES


def test_a_folder_has_few_modules(product: list[Module]) -> None:
    folders = Counter(str(PurePath(module.path).parent) for module in product if not module.path.endswith("__init__.py"))
    assert {folder: count for folder, count in folders.items() if count > MAX_MODULES} == {}


def test_no_two_modules_have_one_name(product: list[Module]) -> None:
    repeated = {name: paths for name, paths in modules_by_name(product).items() if len(paths) > 1 and not on_one_floor_each(paths)}
    assert {name: paths for name, paths in repeated.items() if name not in REPEATED} == {}


def test_the_keys_of_the_web_process_name_classes_in_annotations_only(product: list[Module]) -> None:
    [keys] = [module for module in product if module.path == "web/server/keys.py"]
    imported = [node.module for node in keys.tree.body if isinstance(node, ast.ImportFrom) and node.module]
    assert [name for name in imported if name.split(".")[0] in OUR_PACKAGES and not name.startswith("web.server.")] == []


def test_every_module_says_what_it_does(everything: list[Module]) -> None:
    assert [module.path for module in everything if not ast.get_docstring(module.tree)] == []


def test_the_road_of_a_call_can_be_followed(root: Path, product: list[Module]) -> None:
    steps = road(root)
    assert [number for number, _ in steps] == list(range(1, MAX_STEPS + 1))
    docstrings = {module.path: ast.get_docstring(module.tree) or "" for module in product}
    lost = [path for number, path in steps if f"\n\nOn the road of a call: {number}, " not in docstrings.get(path, "")]
    others = {path for path, text in docstrings.items() if "On the road of a call" in text} - {path for _, path in steps}
    assert others == set(), "only a step of the road says so"
    assert lost == [], "each of these says in the last paragraph of its docstring which step it is, as docs/architecture.md does"


def test_no_file_has_an_empty_name(everything: list[Module]) -> None:
    assert [module.path for module in everything if EMPTY_NAMES & {*PurePath(module.path).parts, PurePath(module.path).stem}] == []
