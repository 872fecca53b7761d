"""The figures of each scenario: printed, and kept in benchmarks/results/chaos.json for the documentation."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import dialer
from tests.chaos.polling import percentile

FILE = Path(dialer.__file__).parents[1] / "benchmarks" / "results" / "chaos.json"


def trials(in_ci: int) -> int:
    """How often a scenario is tried: `in_ci`, or CHAOS_TRIALS."""
    return int(os.environ.get("CHAOS_TRIALS", in_ci))


def spread(values: list[float]) -> dict[str, float]:
    """The middle, the 99th percentile and the greatest of these, and how many there are."""
    if not values:
        return {"n": 0}
    found = {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "max": max(values)}
    return {"n": len(values), **{name: round(value, 4) for name, value in found.items()}}


def keep(scenario: str, **figures: object) -> None:
    """Print a line, and keep it."""
    print(f"\n{scenario}: {json.dumps(figures)}")  # noqa: T201 - read with `pytest -s`
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with FILE.open("a+") as file:
        # Another process of the test run may have a figure, too.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        kept = json.loads(file.read() or "{}")
        file.truncate(0)
        file.write(json.dumps({**kept, scenario: figures}, indent=1, sort_keys=True))
