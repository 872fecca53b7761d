"""No slot stays free while a lead could be taken: it is filled as soon as the log has answered, not with the next poll."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulation import claiming, fake_twilio, network
from tests.simulation.schedule import Schedule, Troubles
from tests.simulation.schedule_runner import run

if TYPE_CHECKING:
    from tests.simulation.cluster import SimulatedCluster
    from tests.simulation.rows import Database

pytestmark = pytest.mark.simulation

# Every statement takes up to this long, so that much happens while one is under way; a freed slot then needs a few of them.
STATEMENT_SECONDS = 0.25
PROMPT_SECONDS = 6 * STATEMENT_SECONDS
MOST_CLAIMS = 120
BUSY = Schedule(
    seed=0, workers=1, businesses=(3, 1), runs=((1, 40, 3), (2, 15, 1)), shared_numbers=False, accounts=1, calls_per_second=0.0,
    partitions=4, trouble_seconds=60.0, listing_lag_seconds=0.0, troubles=Troubles(),
)  # fmt: skip


class Watch:
    """How long each business had a free slot and a lead that could be taken."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self._since: dict[int, float] = {}
        self.longest = 0.0
        cluster.link.after = self.check

    def check(self) -> None:
        self._cluster.judge.check()
        now = self._cluster.loop.now
        for business_id in self._cluster.db.lanes:
            if waits(self._cluster.db, business_id):
                self._since.setdefault(business_id, now)
            elif business_id in self._since:
                self.longest = max(self.longest, now - self._since.pop(business_id))


def waits(db: Database, business_id: int) -> bool:
    lane = db.lanes[business_id]
    runs = [r for r in db.runs_of[business_id] if r.status == "running" and r.started and not r.cancel_requested]
    return len(lane.inflight) < lane.max_calls and any(r.queued and r.in_progress < r.concurrency for r in runs)


@pytest.mark.parametrize("seed", [1, 2, 10, 111, 118, 122, 130, 138])
def test_a_freed_slot_is_filled_at_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two ways it was not: a poll whose answer was older than a word brought an ended call back, and its slot stood free for five
    # seconds; a slot that came free while a claim was under way was asked for only when something else happened.
    monkeypatch.setattr(network, "QUICK_SECONDS", STATEMENT_SECONDS)
    monkeypatch.setattr(fake_twilio, "RINGS_SECONDS", 1.0)
    monkeypatch.setattr(fake_twilio, "TALKS_SECONDS", 1.0)
    watches: list[Watch] = []
    report = run(replace(BUSY, seed=seed), prepare=lambda cluster: watches.append(Watch(cluster)))
    assert (report.violation, report.calls) == ("", 55)
    assert watches[0].longest < PROMPT_SECONDS


def test_a_clock_that_is_ahead_does_not_make_a_worker_claim_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took the database's moment for its own time: 650 claims for eight leads, 20 with a clock that is right."""
    claims: list[int] = []
    real = claiming.claim

    def counted(*given: Any) -> Any:  # noqa: ANN401 what the real one takes and gives
        claims.append(1)
        return real(*given)

    monkeypatch.setattr(claiming, "claim", counted)
    ahead = replace(
        BUSY, seed=3, businesses=(3,), runs=((1, 4, 3), (1, 4, 3)), shared_numbers=True, trouble_seconds=12.0,
        troubles=Troubles(skew_seconds=30.0),
    )  # fmt: skip
    assert run(ahead).violation == ""
    assert len(claims) < MOST_CLAIMS
