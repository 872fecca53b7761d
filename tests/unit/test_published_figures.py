"""A run of the benchmarks is shown beside the published figures; a ratio that is worse names its commit and those of the product since."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from benchmarks import published
from benchmarks.__main__ import BENCHMARKS
from benchmarks.whole.figures import FIGURES, figures_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.whole.figures import Figure
    from benchmarks.whole.sizes import Form

WEIGHT, CLAIM = {"kilobytes": 59.0}, {"claim_p50_ms": 4.0}
RATE, FAST_RATE = {"calls_a_second": 100.0}, {"calls_a_second": 400.0}
QUEUE = {**RATE, "wal_bytes_a_call": 2_000.0}
LATENCY = {"p50_ms": 10.0, "p99_ms": 20.0}
CPU = {"web": 1.0, "worker": 1.0, "simulator": 1.0, "loop": 1.0}
RACE = {"ringmaster": {**FAST_RATE, "holds": True}, "other": {**RATE, "holds": True}, "broken": {"calls_a_second": 900.0, "holds": False}}
# Of the shape of benchmarks/results: what the figures are taken from.
RESULTS: dict[str, dict[str, Any]] = {
    "queue": {"queue": {"wal_bytes_a_call": 2_000.0}, "without_rules": FAST_RATE, "with_rules": FAST_RATE},
    "calls": {"product": {**RATE, "cpu_ms": CPU}, "bare": {**FAST_RATE, "cpu_ms": CPU}},
    "turnaround": {"20": {**dict.fromkeys(("turnaround", "callback", "cancel", "insert"), LATENCY), "cpu": CPU}},
    "start": dict.fromkeys(("answer", "first_call", "insert"), LATENCY),
    "import": {"seconds": 3.0, "bare_seconds": 1.0, "reader_mb": 64.0},
    "screen": {"clients_late": LATENCY, "stop": LATENCY, "over": 0, "cpu": CPU},
    "visit": {key: {"first": WEIGHT, "later": WEIGHT} for key in ("en-US", "he-IL")},
    "upload": {"upload_seconds": 4.0, "megabytes": 3.8},
    "adoption": {"adoption": {"seconds": 3.0}, "queue_adopted": QUEUE, "queue_new": QUEUE},
    "fairness": {
        "workers": {"processes, 1 and 10": {"jain": 0.99}, "permits, 1 and 10": {"jain": 0.99}},
        "neighbour": {"large": {"least_share": 1.0, "jain": 0.99}},
        "claims": {"small": CLAIM, "large": CLAIM},
    },
    "lost": {"100": {"freed": LATENCY, "lists_a_minute": 25.0}},
    "peers": {"1000": RACE, "100": RACE, "pgbench": FAST_RATE},
    "growth": {"jobs": 1.2, "runs": 1.2, "past": 1.2},
    "idle": {"stages": [{"businesses": n, "worker_mb": 90.0, "rows_a_second": 0.5} for n in (1, 100)]},
    "take-over": {"after": LATENCY},
}


@pytest.fixture
def own_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "published.json"
    monkeypatch.setattr(published, "PUBLISHED", path)
    published.publish(RESULTS, "small")
    return path


def compared(found: dict[str, Any], form: Form = "small", **given: dict[str, Any]) -> tuple[bool, str]:
    output = StringIO()
    return published.compare(Console(file=output, width=250), found, form, **given), output.getvalue()


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the numbers of these results are."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from places(one, (*path, key))
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def changed(results: dict[str, Any], path: tuple[Any, ...], change: float) -> dict[str, Any]:
    """These results with one number that is so many times as large, and one more."""
    found: Any = json.loads(json.dumps(results))  # parts of RESULTS are the same object
    *above, last = path
    one = found
    for key in above:
        one = one[key]
    one[last] = one[last] * change + (change > 1)
    return dict(found)


def test_every_benchmark_has_a_ratio_that_is_compared() -> None:
    assert list(dict.fromkeys(one.benchmark for one in FIGURES if one.tolerance is not None)) == list(BENCHMARKS) == list(RESULTS)


def test_every_figure_is_published(own_figures: Path) -> None:
    assert len(json.loads(own_figures.read_text())["small"]) == len(FIGURES) == len(figures_of(RESULTS))
    as_good, output = compared(RESULTS)
    assert as_good
    assert "not yet" not in output


@pytest.mark.parametrize("figure", [one for one in FIGURES if one.tolerance is not None], ids=lambda one: f"{one.benchmark}, {one.name}")
def test_a_worse_figure_is_named_with_its_commit(own_figures: Path, figure: Figure) -> None:
    name = f"{figure.benchmark}: {figure.name}"
    commit = json.loads(own_figures.read_text())["small"][name]["commit"]
    results = RESULTS[figure.benchmark]
    reports = [compared({figure.benchmark: changed(results, path, change)}) for path in places(results) for change in (0.3, 3.0)]
    lines = f"{name}: worse than published; since {commit}\n  no commit of the product"
    assert any(lines in output for as_good, output in reports if not as_good)


def test_what_runs_differ_by_is_no_change_and_better_is_as_good(own_figures: Path) -> None:
    assert own_figures.exists()
    for change in (1.01, 0.5):
        assert compared({"queue": changed(RESULTS["queue"], ("queue", "wal_bytes_a_call"), change)})[0]


def test_a_size_that_was_not_run_is_left_out_and_another_form_is_not_compared(own_figures: Path) -> None:
    assert own_figures.exists()
    only: dict[str, dict[str, Any]] = {"peers": {"100": RACE}, "growth": {"stages": [], "runs": 1.1}}
    assert [one.size for one, _ in figures_of(only)] == ["100", "runs"]
    worse = {"queue": changed(RESULTS["queue"], ("queue", "wal_bytes_a_call"), 3)}
    assert not compared(worse)[0]
    assert compared(worse, form="large")[0]


def test_one_that_failed_is_in_the_table(own_figures: Path) -> None:
    assert own_figures.exists()
    _, output = compared({}, seconds={"idle": 7.0}, failed={"idle": "ended with 1"})
    assert "idle" in output
    assert "ended with 1" in output
