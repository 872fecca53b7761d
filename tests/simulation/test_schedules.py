"""Thousands of schedules: whatever fails, whenever it fails, the promises hold; and the same seed is the same schedule."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.simulation.campaign import campaign
from tests.simulation.schedule import Schedule, Troubles
from tests.simulation.schedule_runner import Report, play, run

if TYPE_CHECKING:
    from tests.simulation.cluster import SimulatedCluster

pytestmark = pytest.mark.simulation

SCHEDULES = int(os.environ.get("SIMULATION_COUNT", "80"))
FIRST_SEED = int(os.environ.get("SIMULATION_SEED", "1"))
# Seeds that once broke a promise, and what was wrong then.
ONCE_BROKEN = {457: "a call in excess held no slot, so nobody followed it, and it rang on"}

QUIET = Schedule(
    seed=7, workers=1, businesses=(2,), runs=((1, 4, 2),), shared_numbers=False, accounts=1, calls_per_second=0.0, partitions=4,
    trouble_seconds=12.0, listing_lag_seconds=0.0, troubles=Troubles(),
)  # fmt: skip
SILENT = replace(QUIET, troubles=Troubles(callback_lost=0.5, answer_lost=0.3))


@pytest.mark.timeout(900)
def test_no_schedule_breaks_a_promise() -> None:
    summary = deque(campaign(FIRST_SEED, SCHEDULES), maxlen=1).pop()
    assert [(report.seed, report.violation) for report in summary.failures] == []
    assert summary.schedules == SCHEDULES


@pytest.mark.parametrize("seed", [1, 2, 3, 5, 8, 13])
def test_the_same_seed_is_the_same_schedule(seed: int) -> None:
    assert play(seed).fingerprint == play(seed).fingerprint


@pytest.mark.parametrize("seed", sorted(ONCE_BROKEN))
def test_a_seed_that_once_broke_a_promise_keeps_it(seed: int) -> None:
    assert play(seed).violation == ""


def steps_of(schedule: Schedule) -> int:
    stages: list[SimulatedCluster] = []
    report = run(schedule, prepare=stages.append)
    assert report.violation == ""
    # Up to the end of the last call; after that the worker only turns round.
    return stages[0].machines[0].process.steps


def killed_at(schedule: Schedule, step: int) -> Report:
    def prepare(cluster: SimulatedCluster) -> None:
        cluster.first_kill = step

    return run(schedule, prepare=prepare)


def frozen_at(schedule: Schedule, step: int) -> Report:
    def prepare(cluster: SimulatedCluster) -> None:
        cluster.first_freeze = step

    return run(schedule, prepare=prepare)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("schedule", "stride"), [(QUIET, 6), (SILENT, 6)], ids=["quiet", "silent"])
def test_a_worker_killed_at_any_await_is_followed_by_one_that_ends_the_run(schedule: Schedule, stride: int) -> None:
    steps = steps_of(schedule)
    broken = [(step, report.violation) for step in range(1, steps, stride) if (report := killed_at(schedule, step)).violation]
    assert broken == []
    assert steps > 300


@pytest.mark.timeout(600)
def test_a_worker_frozen_at_any_await_until_another_has_taken_over_sends_nothing_late() -> None:
    schedule = replace(QUIET, workers=2)
    steps = steps_of(schedule)
    broken = [(step, report.violation) for step in range(1, steps, 6) if (report := frozen_at(schedule, step)).violation]
    assert broken == []


def test_everything_goes_well_when_nothing_goes_wrong() -> None:
    stages: list[SimulatedCluster] = []
    report = run(QUIET, prepare=stages.append)
    [outbound] = stages[0].db.runs.values()
    assert (report.violation, report.calls, outbound.status, sum(outbound.counters().values())) == ("", 4, "completed", 4)
