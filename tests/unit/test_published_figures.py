"""A benchmark is compared with the published ratios: a worse one names its commit and those of the product since."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from benchmarks import published

if TYPE_CHECKING:
    from pathlib import Path

WAL, SHARE = "WAL bytes a call", "queue with all rules, share of it without"


@pytest.fixture
def own_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "published.json"
    monkeypatch.setattr(published, "PUBLISHED", path)
    published.publish({"queue": results(wal=2_000, ruled=900)})
    return path


def results(*, wal: float, ruled: float) -> dict[str, Any]:
    return {"queue": {"wal_bytes_a_call": wal}, "without_rules": {"calls_a_second": 1_000}, "with_rules": {"calls_a_second": ruled}}


def compared(found: dict[str, Any]) -> tuple[bool, str]:
    output = StringIO()
    return published.compare(Console(file=output, width=200), found), output.getvalue()


def test_what_runs_differ_by_is_no_change(own_figures: Path) -> None:
    assert set(json.loads(own_figures.read_text())) == {WAL, SHARE}
    assert compared({"queue": results(wal=2_020, ruled=800)})[0]


@pytest.mark.parametrize(("worse", "name"), [(results(wal=2_200, ruled=900), WAL), (results(wal=2_000, ruled=500), SHARE)])
def test_a_worse_ratio_is_named_with_its_commit(own_figures: Path, worse: dict[str, Any], name: str) -> None:
    as_good, output = compared({"queue": worse})
    commit = json.loads(own_figures.read_text())[name]["commit"]
    assert not as_good
    assert f"{name}: since {commit}\n  no commit of the product" in output


def test_a_better_ratio_is_as_good(own_figures: Path) -> None:
    assert own_figures.exists()
    assert compared({"queue": results(wal=1_000, ruled=990)})[0]


def test_a_size_that_was_not_run_is_left_out(own_figures: Path) -> None:
    published.publish({"peers": {"100": {"ringmaster": {"calls_a_second": 10}, "other": {"calls_a_second": 1, "holds": True}}}})
    assert set(json.loads(own_figures.read_text())) == {WAL, SHARE, "queue with 100 keys, times the best peer that holds the limit"}
