"""Every row of docs/contract.md is held by a test that is there, or is open and not served: nothing of it can rot."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.contract.contract_page import NOT_YET, PAGE, old_failures, promises
from tests.contract.held import ALL, HELD
from tests.contract.served import EXTRA, TOPICS, operations, served, settings

if TYPE_CHECKING:
    from tests.contract.contract_page import Promise

ROOT = PAGE.parents[1]
COLLECTING_SECONDS = 300


def held_by(promise: Promise) -> str | None:
    tests = HELD.get((promise.section, promise.kind), {})
    return tests.get(promise.name, tests.get(ALL))


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise.id)
def test_each_row_is_held_or_open(promise: Promise) -> None:
    if promise.open:
        assert promise.state.removeprefix(NOT_YET) in TOPICS
        assert promise.name not in HELD.get((promise.section, promise.kind), {}), "it has a test: the page must say that it is built"
        assert not served(promise), "it is served: the page must say that it is built, and tests/contract/held.py who holds it"
    else:
        assert promise.state == "yes"
        assert held_by(promise), "no test holds it: name one in tests/contract/held.py"


def test_each_row_is_there_once() -> None:
    ids = [promise.id for promise in promises()]
    assert sorted(ids) == sorted(set(ids))


def test_nothing_is_held_or_asked_for_that_no_row_promises() -> None:
    built = {(promise.section, promise.kind, promise.name) for promise in promises() if not promise.open}
    kinds = {place[:2] for place in built}
    gone = [place for place, tests in HELD.items() for name in tests if name != ALL and (*place, name) not in built]
    assert gone == []
    assert {place for place in HELD if place not in kinds} == set()
    assert EXTRA.keys() <= {promise.id for promise in promises() if promise.open}


def test_each_failure_of_the_old_system_is_held() -> None:
    assert [number for number, _ in old_failures() if number] == [str(n) for n in range(1, 18)]


@pytest.mark.timeout(COLLECTING_SECONDS)
def test_every_test_that_is_named_is_there(request: pytest.FixtureRequest) -> None:
    """Those of this very test run are there; the others, when only some tests are run, are collected."""
    here = {item.nodeid.partition("[")[0] for item in request.session.items}
    named = ({test for tests in HELD.values() for test in tests.values()} | {test for _, test in old_failures()}) - here
    if not named:
        return
    collecting = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", *sorted({test.partition("::")[0] for test in named}))
    result = subprocess.run(collecting, cwd=ROOT, capture_output=True, text=True, check=False, timeout=COLLECTING_SECONDS)
    collected = {line.partition("[")[0] for line in result.stdout.splitlines() if "::" in line}
    assert sorted(named - collected) == [], result.stdout[-500:] + result.stderr[-500:]


def test_what_is_served_is_promised() -> None:
    """The other way round: a route or a setting that nobody can read of here is no promise."""
    promised = {promise.name for promise in promises() if promise.kind in {"request", "what Twilio asks of us"} and not promise.open}
    assert operations() - promised == set()
    assert settings().keys() - {promise.name for promise in promises() if promise.kind == "variable" and not promise.open} == set()
