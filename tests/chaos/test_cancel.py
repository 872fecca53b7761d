"""Cancel under full load, and with Redis down and all workers dead: no further lead is taken, and the response is fast."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from telephony.simulator.randomness import between
from tests.chaos.cluster import Cluster
from tests.chaos.figures import keep, spread, trials
from tests.chaos.judge import call_records, judge, taken_after
from tests.chaos.polling import lasting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

BUSINESSES = 10
LEADS = 12
# Calls of about a second, so that every slot is in use all the time and the machine still has capacity to respond.
SPEED = 40.0
MIDDLE_SECONDS = 1.0
CANCELS, CANCELS_ALONE = 50, 10
# At most so many runs of one business compete for its three slots.
RUNS_AT_ONCE = 5
# The median target for an otherwise idle machine; the slowest few depend on other users of its cores.
TARGET_SECONDS = 0.010
SLOWEST_SECONDS = 5.0
# From the arrival of the command in the database to its decision, in database time, lock waits included, without the flush of the
# commit.
DECIDED = """
SELECT extract(epoch FROM applied_at - received_at)::float8 FROM dialer.inbox
WHERE type = 'run.cancel' AND business_id = ANY ($1::integer[])
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of this file."""
    async with Cluster(tmp_path_factory.mktemp("cancel"), speed=SPEED) as cluster:
        yield cluster


@dataclass(frozen=True, slots=True)
class CancelResult:
    """The response to the cancel of a running run."""

    tenant: Tenant
    run_id: int
    wait: bool
    in_progress: int
    asked_at: datetime
    answered_at: datetime

    @property
    def seconds(self) -> float:
        """The time to the response."""
        return (self.answered_at - self.asked_at).total_seconds()


async def cancel(tenant: Tenant, run_id: int, *, wait: bool, hang_up: bool) -> CancelResult:
    """Cancel a run."""
    asked_at = datetime.now(UTC)
    response = await tenant.cancel(run_id, wait=wait, hang_up=hang_up)
    assert response["in_progress"] <= tenant.max_calls
    return CancelResult(tenant, run_id, wait, response["in_progress"], asked_at, datetime.now(UTC))


async def assert_nothing_taken(cluster: Cluster, cancels: Iterable[CancelResult]) -> None:
    """No lead was taken after any response; a request sent after it was for a lead taken before, and with `wait` there is none."""
    records = await call_records(cluster)
    for one in cancels:
        after = records.requests_of(one.tenant, one.tenant.runs[one.run_id], one.answered_at)
        assert len(after) <= (0 if one.wait else one.in_progress), f"{len(after)} requests after the answer about run {one.run_id}"
        assert await taken_after(cluster, one.run_id) == 0


async def in_database(cluster: Cluster, tenants: Sequence[Tenant]) -> dict[str, float]:
    """How long the cancels took in the database, in seconds."""
    return spread([row[0] for row in await cluster.rows(DECIDED, [tenant.business_id for tenant in tenants])])


async def test_under_full_load(cluster: Cluster) -> None:
    await cluster.scale(2)
    tenants = [await cluster.tenant() for _ in range(BUSINESSES)]

    async def cancel_some(tenant: Tenant, first: int) -> list[CancelResult]:
        cancels = []
        for n in range(first, trials(CANCELS), BUSINESSES):
            run_id = await tenant.run(cluster.leads(LEADS))
            await lasting(between(0.0, MIDDLE_SECONDS, 1, "middle", n))
            cancels.append(await cancel(tenant, run_id, wait=n % 3 == 0, hang_up=n % 2 == 0))
        return cancels

    found = await asyncio.gather(*(cancel_some(tenant, n) for n, tenant in enumerate(tenants)))
    cancels = [one for some in found for one in some]
    for one in cancels:
        assert (await one.tenant.ended(one.run_id))["status"] in {"cancelled", "completed"}
    await assert_nothing_taken(cluster, cancels)
    seconds, over_http = await in_database(cluster, tenants), spread([one.seconds for one in cancels if not one.wait])
    keep("cancel under full load", taken_after=0, in_database=seconds, over_http=over_http, **await judge(cluster, tenants))
    assert seconds["p50"] < TARGET_SECONDS
    assert seconds["max"] < SLOWEST_SECONDS


async def test_with_redis_down_and_every_worker_dead(cluster: Cluster) -> None:
    tenants = [await cluster.tenant() for _ in range(BUSINESSES)]
    left = trials(CANCELS_ALONE)
    while left > 0:
        left -= await cancel_alone(cluster, tenants, min(left, BUSINESSES * RUNS_AT_ONCE))
    keep(
        "cancel with Redis down and all workers dead",
        taken_after=0,
        in_database=await in_database(cluster, tenants),
        **await judge(cluster, tenants),
    )


async def cancel_alone(cluster: Cluster, tenants: Sequence[Tenant], count: int) -> int:
    """Cancel `count` runs with only the web process and PostgreSQL running."""
    await cluster.scale(2)
    runs = [(tenants[n % BUSINESSES], await tenants[n % BUSINESSES].run(cluster.leads(LEADS * 4))) for n in range(count)]
    for tenant, run_id in runs[:BUSINESSES]:
        await tenant.taken(run_id, 1)
    for name in list(cluster.workers):
        await cluster.end(name, SIGKILL)
    await cluster.valkey.stop()
    cancels = await asyncio.gather(*(cancel(*runs[n], wait=n % 2 == 0, hang_up=n % 3 == 0) for n in range(count)))
    # Calls that were being placed when the workers died are reconciled by the next one.
    await cluster.valkey.start()
    await cluster.scale(1)
    for tenant, run_id in runs:
        assert (await tenant.ended(run_id))["status"] in {"cancelled", "completed"}
    await assert_nothing_taken(cluster, cancels)
    return count
