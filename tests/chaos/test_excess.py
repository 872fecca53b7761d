"""A provider that lists its calls later than it promised: the second call of a lead is detected, counted and ended."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.chaos.cluster import Cluster
from tests.chaos.external_client import EVENTS, connected
from tests.chaos.figures import keep, spread
from tests.chaos.judge import call_records, judge
from tests.chaos.polling import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

# Slow calls: they ring for 7 to 12 s, and would be talked on for a minute more.
SPEED = 2.0
LATE_SECONDS = 12.0
ENDED_SECONDS = 5.0
HIDDEN_SECONDS = 60.0
RINGS_LONG = "slow"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of this file."""
    async with Cluster(tmp_path_factory.mktemp("excess"), speed=SPEED, DIALER_RING_TIMEOUT_SECONDS="60") as cluster:
        yield cluster


async def test_a_call_that_was_thought_absent_is_hung_up(cluster: Cluster) -> None:
    tenant = await cluster.tenant()
    leads = cluster.leads(1)
    await cluster.numbers({lead["phone"]: RINGS_LONG for lead in leads})
    await cluster.faults(
        drop_after=1.0,
        first_requests=1,
        listing_lag_seconds=HIDDEN_SECONDS,
        callback_delay=1.0,
        callback_delay_seconds=LATE_SECONDS,
    )
    run_id = await tenant.run(leads)

    async def called_twice() -> list[dict[str, Any]]:
        calls = (await call_records(cluster)).calls_of(tenant)
        return calls if set(Counter(call["to"] for call in calls).values()) == {2} else []

    await until(called_twice, 30, "the lead is called a second time, as its first call was not listed")
    calls = await until(lambda: first_ones_over(cluster, tenant.caller_id), 40, "the first call of each is over")
    over_at = datetime.now(UTC)
    first = [call for call in calls if call["nth"] == 0]
    lasted = [(datetime.fromisoformat(call["ended_at"]) - datetime.fromisoformat(call["created_at"])).total_seconds() for call in first]
    assert {call["status"] for call in first} == {"canceled"}, "it was not hung up before it was answered"
    # Heard of when it is answered, or LATE_SECONDS after it began; it would ring and talk for a minute.
    assert max(lasted) < LATE_SECONDS + ENDED_SECONDS, lasted
    await cluster.faults()
    await tenant.stop(run_id, hang_up=True)
    await tenant.ended(run_id, 60)
    async with connected(cluster.valkey.url) as service:
        excess = [event for event in await service.read(EVENTS, [run_id]) if event["type"] == "call.excess"]
    assert len(excess) == 1
    assert await cluster.value("SELECT count(*) FROM dialer.attempts WHERE run_id = $1 AND excess", run_id) == 1
    figures = await judge(cluster, [tenant], calls_each=2, excess=1)
    keep("a provider that lists later than L", excess=1, lasted=spread(lasted), judged_at=over_at.isoformat(), **figures)


async def first_ones_over(cluster: Cluster, caller_id: str) -> list[dict[str, Any]]:
    """All calls, numbered for each lead, once the first call of every lead has ended; nothing before."""
    seen: Counter[str] = Counter()
    calls = []
    for call in (await call_records(cluster)).calls:
        if call["from"] == caller_id:
            calls.append({**call, "nth": seen[call["to"]]})
            seen[call["to"]] += 1
    return calls if all(call["ended_at"] for call in calls if call["nth"] == 0) else []
