"""Cancel under full load, with everything up, and with Redis down and all workers dead: it holds, and it is quick.

On the road of a call: 1, turned back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from telephony.simulator.randomness import between
from tests.chaos.figures import keep, spread, trials
from tests.chaos.judge import book, judge, taken_after
from tests.chaos.town import Cluster
from tests.chaos.waiting import lasting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

BUSINESSES = 10
LEADS = 12
# Calls of about a second, so that every slot is in use all the time and the machine still has something left to answer with.
SPEED = 40.0
MIDDLE_SECONDS = 1.0
CANCELS, CANCELS_ALONE = 50, 10
# So many runs of one business wait side by side for its three slots, at most.
RUNS_AT_ONCE = 5
# The middle, of the target for a machine that does nothing else; the slowest few depend on who else is using its cores.
TARGET_SECONDS = 0.010
SLOWEST_SECONDS = 5.0
# From the command's arrival in the database to its decision, waiting for locks included, as the database's clock saw it; not the
# commit's write to the disk.
DECIDED = """
SELECT extract(epoch FROM applied_at - received_at)::float8 FROM dialer.inbox
WHERE type = 'run.cancel' AND business_id = ANY ($1::integer[])
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The town of this file."""
    async with Cluster(tmp_path_factory.mktemp("cancel"), speed=SPEED) as town:
        yield town


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A run that was cancelled in its middle, and what was answered."""

    tenant: Tenant
    run_id: int
    wait: bool
    in_progress: int
    asked_at: datetime
    answered_at: datetime

    @property
    def seconds(self) -> float:
        """How long the answer took."""
        return (self.answered_at - self.asked_at).total_seconds()


async def cancel(tenant: Tenant, run_id: int, *, wait: bool, hang_up: bool) -> Cancelled:
    """Cancel a run."""
    asked_at = datetime.now(UTC)
    said = await tenant.cancel(run_id, wait=wait, hang_up=hang_up)
    assert said["in_progress"] <= tenant.max_calls
    return Cancelled(tenant, run_id, wait, said["in_progress"], asked_at, datetime.now(UTC))


async def held(town: Cluster, cancels: Iterable[Cancelled]) -> None:
    """Nothing was taken after any answer; what was asked for after it had been taken before, and with `wait` nothing was."""
    ledger = await book(town)
    for one in cancels:
        after = ledger.requests_of(one.tenant, one.tenant.runs[one.run_id], one.answered_at)
        assert len(after) <= (0 if one.wait else one.in_progress), f"{len(after)} requests after the answer about run {one.run_id}"
        assert await taken_after(town, one.run_id) == 0


async def in_database(town: Cluster, tenants: Sequence[Tenant]) -> dict[str, float]:
    """How long the cancels took in the database, in seconds."""
    return spread([row[0] for row in await town.rows(DECIDED, [tenant.business_id for tenant in tenants])])


async def test_under_full_load(town: Cluster) -> None:
    await town.staff(2)
    tenants = [await town.tenant() for _ in range(BUSINESSES)]

    async def cancel_some(tenant: Tenant, first: int) -> list[Cancelled]:
        cancels = []
        for n in range(first, trials(CANCELS), BUSINESSES):
            run_id = await tenant.run(town.leads(LEADS))
            await lasting(between(0.0, MIDDLE_SECONDS, 1, "middle", n))
            cancels.append(await cancel(tenant, run_id, wait=n % 3 == 0, hang_up=n % 2 == 0))
        return cancels

    found = await asyncio.gather(*(cancel_some(tenant, n) for n, tenant in enumerate(tenants)))
    cancels = [one for some in found for one in some]
    for one in cancels:
        assert (await one.tenant.ended(one.run_id))["status"] in {"cancelled", "completed"}
    await held(town, cancels)
    seconds, over_http = await in_database(town, tenants), spread([one.seconds for one in cancels if not one.wait])
    keep("cancel under full load", taken_after=0, in_database=seconds, over_http=over_http, **await judge(town, tenants))
    assert seconds["p50"] < TARGET_SECONDS
    assert seconds["max"] < SLOWEST_SECONDS


async def test_with_redis_down_and_every_worker_dead(town: Cluster) -> None:
    tenants = [await town.tenant() for _ in range(BUSINESSES)]
    left = trials(CANCELS_ALONE)
    while left > 0:
        left -= await cancel_alone(town, tenants, min(left, BUSINESSES * RUNS_AT_ONCE))
    keep(
        "cancel with Redis down and all workers dead",
        taken_after=0,
        in_database=await in_database(town, tenants),
        **await judge(town, tenants),
    )


async def cancel_alone(town: Cluster, tenants: Sequence[Tenant], count: int) -> int:
    """Cancel `count` runs when nobody is left but the web process and PostgreSQL."""
    await town.staff(2)
    runs = [(tenants[n % BUSINESSES], await tenants[n % BUSINESSES].run(town.leads(LEADS * 4))) for n in range(count)]
    for tenant, run_id in runs[:BUSINESSES]:
        await tenant.taken(run_id, 1)
    for name in list(town.workers):
        await town.end(name, SIGKILL)
    await town.valkey.stop()
    cancels = await asyncio.gather(*(cancel(*runs[n], wait=n % 2 == 0, hang_up=n % 3 == 0) for n in range(count)))
    # Whoever was being placed when the workers died is looked for by the next one.
    await town.valkey.start()
    await town.staff(1)
    for tenant, run_id in runs:
        assert (await tenant.ended(run_id))["status"] in {"cancelled", "completed"}
    await held(town, cancels)
    return count
