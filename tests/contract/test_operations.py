"""The rules, the dashboard and the runbooks of docs/operations.md fit each other, the commands and the schema."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from ringmaster.doctor.work_rules import WORK
from tests.platforms.causes import CAUSES
from tests.prometheus import OPS, RULES, TOOL, hastened

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

PAGE: Final = OPS.parent / "docs" / "operations.md"
SQL: Final = re.compile(r"^ *```sql\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
OF_DOCTOR: Final = re.compile(r"((?:`[a-z_]+`(?:, | and )?)+) of doctor")
COMMENT: Final = re.compile(r"^ *--.*\n", re.MULTILINE)
HEADINGS: Final = re.compile(r"^### (\w+)$", re.MULTILINE)
ALERT_NAME: Final = re.compile(r'alertname="(\w+)"')
# Checks of doctor that wait until what they look for is so old, and the alerts about the same.
SAME: Final = {
    "stale_runs": "RingmasterRunsUndriven",
    "unknown_attempts": "RingmasterUnknownCalls",
    "excess_calls": "RingmasterExcessCalls",
    "commands": "RingmasterCommandsWait",
    "events": "RingmasterOutboxStalled",
    "deliveries": "RingmasterWebhooksLate",
    "transactions": "RingmasterLongTransaction",
    "row_locks": "RingmasterRowsLocked",
    "stalled_businesses": "RingmasterBusinessesStalled",
}
PARTS: Final = ("*For users*", "*Cause*", "*Mend*", "*Mended*")


def alerts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return found


def timed() -> set[str]:
    """The alerts that promtool sees fire at a given time."""
    expected: set[str] = set()
    for case in yaml.safe_load(RULES.with_name("alerts_test.yml").read_text())["tests"]:
        expected |= {rule["alertname"] for rule in case.get("alert_rule_test", ()) if rule["exp_alerts"]}
        expected |= {ALERT_NAME.findall(sample["expr"])[0] for sample in case.get("promql_expr_test", ()) if sample["exp_samples"]}
    return expected


def runbooks() -> dict[str, str]:
    """The text of each runbook, by its heading."""
    _, *rest = HEADINGS.split(PAGE.read_text().split("\n## Alerts\n")[1].split("\n## ")[0])
    return dict(zip(rest[::2], rest[1::2], strict=True))


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml"), ("check", "config", "scrape.yml")]
)
def test_prometheus_takes_the_rules(arguments: tuple[str, ...]) -> None:
    if TOOL is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([TOOL, *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_its_runbook_and_its_cause() -> None:
    names = [str(rule["alert"]) for rule in alerts()]
    assert sorted(names) == sorted(set(names))
    assert list(runbooks()) == names, "docs/operations.md has them in the order of the rules"
    assert {name: [part for part in PARTS if part not in text] for name, text in runbooks().items()} == {name: [] for name in names}
    assert [rule["annotations"]["runbook"] for rule in alerts()] == [f"docs/operations.md#{name.lower()}" for name in names]
    # tests/platforms/test_alerts.py makes each of them fire, with shorter times; promtool checks the times.
    assert frozenset().union(*CAUSES.values()) == set(names)
    assert timed() == set(names)


def test_doctor_finds_what_an_alert_is_about_by_the_time_it_fires() -> None:
    late = {}
    for name, alert in SAME.items():
        [rule] = [rule for rule in WORK if rule.name == name]
        [fires] = [one for one in alerts() if one["alert"] == alert]
        beyond = int(re.findall(r"_seconds\)* > (\d+)", fires["expr"])[0]) if "_seconds" in fires["expr"] else 0
        seconds = beyond + int(fires["for"][:-1]) * {"s": 1, "m": 60}[fires["for"][-1]]
        if rule.values[0] > seconds:  # type: ignore[operator]
            late[name] = (rule.values[0], seconds)
    assert late == {}


def test_the_rules_of_the_tests_differ_in_time_only() -> None:
    before, after = yaml.safe_load(RULES.read_text()), yaml.safe_load(hastened(RULES.read_text()))
    digits = re.compile(r"[\d.]+[ms]?")
    for rule, hasty in zip(before["groups"][0]["rules"], after["groups"][0]["rules"], strict=True):
        assert digits.sub("", rule.pop("expr")) == digits.sub("", hasty.pop("expr"))
        rule.pop("for", None)
        assert rule == hasty


def test_what_doctor_is_said_to_check_is_checked() -> None:
    page = PAGE.read_text()
    table = page.split("\n## Doctor\n")[1].split("\n## ")[0]
    checks = {name for line in table.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    named = {name for found in OF_DOCTOR.findall(page) for name in re.findall(r"`(\w+)`", found)}
    named |= set(re.findall(r"`(?:ok|fail|warn) (\w+)`", page))
    assert len(named) > 10
    assert named - checks == set()


def test_a_panel_is_at_one_place_and_asks_something() -> None:
    board = json.loads((OPS / "grafana" / "ringmaster.json").read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(places) == len(set(places))
    assert [panel["title"] for panel in board["panels"] if panel["type"] != "row" and not panel["targets"]] == []


async def test_every_statement_of_the_page_can_be_made(database: DatabaseFixture) -> None:
    text = COMMENT.sub("", "".join(SQL.findall(PAGE.read_text())))
    statements = [one for one in text.split(";") if one.strip()]
    assert len(statements) > 10
    for statement in statements:
        await database.pool.execute(statement)
