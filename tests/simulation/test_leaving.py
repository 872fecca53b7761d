"""A worker that shuts down releases partitions without a POST in flight at once; others take them while it finishes the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from dialer.model import AttemptState
from tests.simulation.schedule import Schedule, Troubles
from tests.simulation.schedule_runner import run

if TYPE_CHECKING:
    from tests.simulation.cluster import SimulatedCluster
    from tests.simulation.rows import Database

pytestmark = pytest.mark.simulation

STOP_AT, HAND_OVER_SECONDS = 6.0, 1.0
# Connections that take up to five seconds: there is always a POST in progress.
SLOW = Schedule(
    seed=0, workers=2, businesses=(3, 3, 3, 3), runs=tuple((n, 20, 3) for n in (1, 2, 3, 4)), shared_numbers=False, accounts=1,
    calls_per_second=0.0, partitions=8, trouble_seconds=12.0, listing_lag_seconds=0.0, troubles=Troubles(slow_connection=1.0),
)  # fmt: skip


@dataclass(slots=True)
class Shares:
    """The partitions some time after a worker was told to stop: those still its own, those of them with a POST, those of nobody."""

    kept: set[int]
    placing: set[int]
    orphans: set[int]


def shares_of(db: Database) -> Shares:
    [leaver] = db.leaving
    kept = {n for n, partition in enumerate(db.partitions) if partition.owner == leaver}
    placing = {db.lanes[a.business_id].partition for a in db.attempts.values() if a.state is AttemptState.PLACING}
    return Shares(kept, placing & kept, {n for n, partition in enumerate(db.partitions) if partition.owner is None})


def test_only_what_has_a_post_in_progress_waits_for_it() -> None:
    snapshots: list[Shares] = []

    def prepare(cluster: SimulatedCluster) -> None:
        def stop() -> None:
            # Whichever joined first: the other gets no share of partitions that have just changed hands.
            machine = next(machine for machine in cluster.machines if machine.ownership and machine.ownership.epochs)
            machine.process.context.run(machine.stopping.set)

        cluster.loop.call_later(STOP_AT, stop, context=cluster.loop.outside)
        cluster.loop.call_later(STOP_AT + HAND_OVER_SECONDS, lambda: snapshots.append(shares_of(cluster.db)), context=cluster.loop.outside)

    assert run(SLOW, prepare=prepare).violation == ""
    [shares] = snapshots
    assert shares.kept == shares.placing
    assert shares.placing
    assert not shares.orphans
