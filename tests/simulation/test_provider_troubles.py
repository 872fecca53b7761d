"""What a provider may do besides losing answers: another clock, calls it forgets, a queue, limits, a proxy in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.schedule import Schedule, Troubles
from tests.simulation.schedule_runner import run

pytestmark = pytest.mark.simulation

BASE = Schedule(
    seed=0, workers=2, businesses=(2, 2), runs=((1, 5, 2), (2, 4, 2)), shared_numbers=False, accounts=2, calls_per_second=0.0,
    partitions=4, trouble_seconds=20.0, listing_lag_seconds=5.0, troubles=Troubles(),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize(
    "troubles",
    [
        Troubles(answer_lost=0.4, callback_lost=0.7, provider_clock_seconds=-7.0),
        Troubles(answer_lost=0.4, callback_lost=0.7, provider_clock_seconds=30.0),
        Troubles(forgets=0.2, callback_lost=0.7),
        Troubles(foreign_answer=0.4, callback_lost=0.3),
        Troubles(at_its_limit=0.4),
        Troubles(keeps_queued=0.3, callback_lost=0.3),
    ],
    ids=["its clock is behind", "its clock is ahead", "forgets", "a proxy", "a limit", "a queue"],
)
def test_no_promise_is_broken(seed: int, troubles: Troubles) -> None:
    assert run(replace(BASE, seed=seed, troubles=troubles)).violation == ""
