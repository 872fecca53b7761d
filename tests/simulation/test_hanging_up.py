"""A call marked to be hung up is hung up without a hint to its worker: the web process died between PostgreSQL and the stream."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from actors.calls.reconciler import AFTER_HANG_UP_SECONDS
from actors.supervisor.router import POLL_SECONDS
from dialer.messages import Command, CommandType
from dialer.model import AttemptState
from tests.simulation.commanding import command
from tests.simulation.schedule import Schedule, Troubles
from tests.simulation.schedule_runner import run

if TYPE_CHECKING:
    from tests.simulation.cluster import SimulatedCluster

pytestmark = pytest.mark.simulation

CANCELLED_AT, HANGING_UP_SECONDS = 30.0, 1.0
# Whoever answers talks for five minutes.
TALKERS = Schedule(
    seed=0, workers=1, businesses=(3,), runs=((1, 20, 3),), shared_numbers=False, accounts=1, calls_per_second=0.0,
    partitions=4, trouble_seconds=60.0, listing_lag_seconds=0.0, troubles=Troubles(talks_on=1.0),
)  # fmt: skip


def test_the_next_poll_finds_a_hang_up_without_a_hint() -> None:
    stages: list[SimulatedCluster] = []

    def prepare(cluster: SimulatedCluster) -> None:
        stages.append(cluster)
        cancel = Command(1, "without a hint", CommandType.CANCEL, 1, hang_up=True, requested_by="person")
        cluster.loop.call_later(CANCELLED_AT, lambda: command(cluster.db, cancel), context=cluster.loop.outside)

    assert run(TALKERS, prepare=prepare).violation == ""
    ends = [call.ended_at or float("inf") for call in stages[0].twilio.calls.values() if call.answered]
    assert max(ends) > CANCELLED_AT
    assert max(ends) < CANCELLED_AT + POLL_SECONDS + HANGING_UP_SECONDS


def test_a_call_cancelled_while_it_was_placed_is_asked_for_soon() -> None:
    """It is hung up when the POST is answered; should no callback say that it has ended, its slot is not held for long."""
    open_then: list[int] = []

    def cancel_while_placing(cluster: SimulatedCluster) -> None:
        states = [attempt.state for attempt in cluster.db.attempts.values() if attempt.open]
        if AttemptState.PLACING not in states:
            cluster.loop.call_later(0.001, lambda: cancel_while_placing(cluster), context=cluster.loop.outside)
            return
        command(cluster.db, Command(1, "in the middle", CommandType.CANCEL, 1, hang_up=True, requested_by="person"))
        open_then.append(len(states))
        cluster.loop.call_later(AFTER_HANG_UP_SECONDS + POLL_SECONDS, lambda: count(cluster), context=cluster.loop.outside)

    def count(cluster: SimulatedCluster) -> None:
        open_then.append(sum(attempt.open for attempt in cluster.db.attempts.values()))

    def prepare(cluster: SimulatedCluster) -> None:
        cluster.loop.call_later(CANCELLED_AT, lambda: cancel_while_placing(cluster), context=cluster.loop.outside)

    unheard = replace(TALKERS, troubles=Troubles(callback_lost=1.0))
    assert run(unheard, prepare=prepare).violation == ""
    assert open_then[0] > 0
    assert open_then[1] == 0
