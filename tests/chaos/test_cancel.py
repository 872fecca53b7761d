"""Cancel under full load, with everything up, and with Redis down and all workers dead: it holds, and it is quick.

On the road of a call: 1, turned back.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest

from tests.chaos.figures import keep, spread, trials
from tests.chaos.judge import book, judge, taken_after
from tests.chaos.watch import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.chaos.tenant import Tenant
    from tests.chaos.town import Town

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

BUSINESSES = 10
LEADS = 12
CANCELS = 50
# The middle, of the target for a machine that does nothing else; the slowest few depend on who else is using its cores.
TARGET_SECONDS = 0.010
SLOWEST_SECONDS = 5.0
# From the command's arrival in the database to its decision, waiting for locks included, as the database's clock saw it; not the
# commit's write to the disk.
DECIDED = """
SELECT extract(epoch FROM applied_at - received_at)::float8 FROM dialer.inbox
WHERE type = 'run.cancel' AND business_id = ANY ($1::integer[])
"""


async def cancel_one(town: Town, tenant: Tenant, n: int) -> float:
    """Start a run, cancel it in the middle, and hold the answer against the ledger; return how long the answer took, in seconds."""
    leads = town.leads(LEADS)
    run_id = await tenant.run(leads)
    await tenant.taken(run_id, 1 + n % 4)
    return await cancelled(town, tenant, run_id, wait=n % 3 == 0, hang_up=n % 2 == 0)


async def cancelled(town: Town, tenant: Tenant, run_id: int, *, wait: bool, hang_up: bool) -> float:
    """Cancel a run in its middle; nothing is taken after the answer, and with `wait` nothing is asked for."""
    asked_at = datetime.now(UTC)
    said = await tenant.cancel(run_id, wait=wait, hang_up=hang_up)
    answered_at = datetime.now(UTC)
    assert said["in_progress"] <= tenant.max_calls
    after = (await book(town)).requests_of(tenant, tenant.runs[run_id], answered_at)
    assert len(after) <= (0 if wait else said["in_progress"])
    return 0.0 if wait else (answered_at - asked_at).total_seconds()


async def taken_after_any(town: Town, tenants: Sequence[Tenant]) -> int:
    """How many leads were taken after the answer, over all runs."""
    return sum([await taken_after(town, run_id) for tenant in tenants for run_id in tenant.runs])


async def decided(town: Town, tenants: Sequence[Tenant]) -> list[float]:
    """How long each cancel took in the database, in seconds."""
    return [row[0] for row in await town.rows(DECIDED, [tenant.business_id for tenant in tenants])]


async def test_under_full_load(town: Town) -> None:
    await town.staff(2)
    tenants = [await town.tenant() for _ in range(BUSINESSES)]
    answers: list[float] = []

    async def cancel_some(tenant: Tenant, first: int) -> list[float]:
        return [await cancel_one(town, tenant, n) for n in range(first, trials(CANCELS), BUSINESSES)]

    for found in await asyncio.gather(*(cancel_some(tenant, n) for n, tenant in enumerate(tenants))):
        answers += found
    for tenant in tenants:
        for run_id in tenant.runs:
            assert (await tenant.ended(run_id))["status"] in {"cancelled", "completed"}
    figures = await judge(town, tenants)
    seconds = await decided(town, tenants)
    assert await taken_after_any(town, tenants) == 0
    over_http = [answer for answer in answers if answer]
    keep("cancel under full load", taken_after=0, in_database=spread(seconds), over_http=spread(over_http), **figures)
    assert spread(seconds)["p50"] < TARGET_SECONDS
    assert spread(seconds)["max"] < SLOWEST_SECONDS


async def test_with_redis_down_and_every_worker_dead(town: Town) -> None:
    await town.staff(2)
    tenants = [await town.tenant() for _ in range(BUSINESSES)]
    runs = [(tenant, await tenant.run(town.leads(LEADS * 4))) for tenant in tenants]
    for tenant, run_id in runs:
        await tenant.taken(run_id, 3)
    for name in list(town.workers):
        await town.end(name, SIGKILL)
    await town.valkey.stop()
    await asyncio.gather(*(cancelled(town, tenant, run_id, wait=n % 2 == 0, hang_up=n % 3 == 0) for n, (tenant, run_id) in enumerate(runs)))
    assert await taken_after_any(town, tenants) == 0
    seconds = await decided(town, tenants)
    # Whoever was being placed when the workers died is looked for by the next one.
    await town.valkey.start()
    await town.staff(1)
    for tenant, run_id in runs:
        run = await tenant.ended(run_id)
        assert run["status"] in ENDED
        assert run["status"] == "cancelled"
    keep("cancel with Redis down and all workers dead", taken_after=0, in_database=spread(seconds), **await judge(town, tenants))
