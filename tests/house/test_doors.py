"""Time, chance, tasks, SQL and aiohttp come in through their own modules only."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.house.conftest import Module

# Dotted names, or whole modules: a test cannot control them.
FORBIDDEN = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.clock_gettime",
    "time.sleep",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "uuid.uuid1",
    "uuid.uuid4",
    "random",
    "asyncio.create_task",
    "asyncio.ensure_future",
}
# (file, name): the reason. The ports themselves may use all of them.
PORTS = "dialer/clock.py"
ALLOWED: dict[tuple[str, str], str] = {}

# All upper or all lower case: a sentence begins with one capital.
SQL = re.compile(
    r"""(?xs) \s* (?:
      (?:SELECT|select)\s.*\b(?:FROM|from)\b
    | (?:SELECT|select)\s+[\w.]+\(
    | (?:INSERT\s+INTO|insert\s+into)\s
    | (?:UPDATE|update)\s+\S+\s+(?:SET|set)\s
    | (?:DELETE\s+FROM|delete\s+from)\s
    | (?:WITH|with)\s+\w+\s+(?:AS|as)\s*\(
    | (?:TRUNCATE|VACUUM|LISTEN|NOTIFY)\s
    | (?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:TABLE|INDEX|SCHEMA|DATABASE|FUNCTION|TYPE)\s
    | (?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:table|index|schema|database|function|type)\s
    )""",
)


def imported(tree: ast.Module) -> dict[str, str]:
    """What each name that an import binds stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(
                {alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0] for alias in node.names}
            )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The full name of `a.b.c`, imports resolved; empty when it is none."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""


def uses(module: Module) -> Iterator[tuple[str, int]]:
    """Every use of a forbidden name, and its line; a name that is passed on counts like a call."""
    names = imported(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = dotted(node, names)
            found = name if name in FORBIDDEN else name.split(".")[0]
            if found in FORBIDDEN:
                yield found, node.lineno


def test_time_chance_and_tasks_come_through_the_ports(product: list[Module]) -> None:
    found = {(module.path, name, line) for module in product if module.path != PORTS for name, line in uses(module)}
    assert sorted(use for use in found if use[:2] not in ALLOWED) == []
    # An exception that is no longer needed is removed.
    assert set(ALLOWED) <= {use[:2] for use in found}


def test_no_task_is_started_on_a_loop_itself(product: list[Module]) -> None:
    bare = [
        f"{module.path}:{node.lineno}"
        for module in product
        # The module that creates the tasks of a worker, keeps them and waits for them.
        if module.path != "dialer/concurrency/tasks.py"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "create_task" and "loop" in ast.unparse(node.value)
    ]
    assert bare == []


def test_sql_is_written_in_sql_only(product: list[Module]) -> None:
    found = [
        f"{module.path}:{node.lineno}"
        for module in product
        if not module.path.startswith("sql/")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]
    assert found == []


def test_tests_wait_for_conditions_and_never_sleep(tests: list[Module]) -> None:
    slept = []
    for module in tests:
        names = imported(module.tree)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and dotted(node.func, names) in {"asyncio.sleep", "time.sleep"}:
                # sleep(0) lets the others run and waits for nothing.
                nothing = isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
                slept += [] if nothing else [f"{module.path}:{node.lineno}"]
    assert slept == []


def test_aiohttp_web_is_called_http(everything: list[Module]) -> None:
    wrong = [
        f"{module.path}:{node.lineno}"
        for module in everything
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "aiohttp"
        for alias in node.names
        if alias.name == "web" and alias.asname != "http"
    ]
    assert wrong == [], "our own package is named web"


def test_the_rules_find_what_they_forbid() -> None:
    from tests.house.conftest import Module  # noqa: PLC0415 only here

    text = "import time as t\nfrom asyncio import create_task as go\nimport random\nt.time()\ngo(x)\nrandom.Random(1)\nt.perf_counter()\n"
    assert sorted(uses(Module("x.py", 7, ast.parse(text)))) == [("asyncio.create_task", 5), ("random", 6), ("random", 6), ("time.time", 4)]
    for statement in ("SELECT 1 FROM t", "  select f(1)", "UPDATE t SET x = 1", "with a as (select 1)", "CREATE TABLE t ()"):
        assert SQL.match(statement)
    for sentence in ("Select the leads from the list", "update the run", "with a lead as (a person)", "delete"):
        assert not SQL.match(sentence)
