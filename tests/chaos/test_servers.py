"""Redis is emptied, away and back; PostgreSQL falls over, its sessions are killed, a stranger holds a row: no lead is lost.

On the road of a call: under all of it, while the floor shakes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from ringmaster.local.postgres import Stop
from tests.chaos.figures import keep, trials
from tests.chaos.judge import judge, taken_after
from tests.chaos.stranger import command, stranger
from tests.chaos.town import Cluster
from tests.chaos.waiting import lasting, until
from tests.chaos.watch import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

SPEED = 100.0
BUSINESSES = 4
REDIS_AWAY_SECONDS = 10.0
BACK_SECONDS = 10.0
TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'judge'
"""
TAKEN_SINCE = "SELECT count(*) FROM dialer.attempts WHERE created_at > $1 AND business_id = ANY ($2::integer[])"

Runs = list[tuple["Tenant", int]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The town of this file."""
    async with Cluster(tmp_path_factory.mktemp("servers"), speed=SPEED) as town:
        yield town


async def dialing(town: Cluster, leads: int, businesses: int = BUSINESSES) -> Runs:
    """Businesses in the middle of their runs."""
    tenants = [await town.tenant() for _ in range(businesses)]
    runs = [(tenant, await tenant.run(town.leads(leads))) for tenant in tenants]
    for tenant, run_id in runs:
        await tenant.taken(run_id, 6)
    return runs


async def completed(town: Cluster, runs: Runs) -> dict[str, int]:
    """Wait until all are completed, and judge."""
    for tenant, run_id in runs:
        run = await tenant.ended(run_id, 120)
        assert run["status"] == "completed", run
    figures = await judge(town, [tenant for tenant, _ in runs])
    assert figures["calls"] == figures["leads"]
    return figures


async def go_on(town: Cluster, runs: Runs, within_seconds: float = BACK_SECONDS) -> float:
    """Wait until leads are taken after now, by any of these businesses; return how many seconds it took."""
    began = datetime.now(UTC)
    ids = [tenant.business_id for tenant, _ in runs]
    await until(lambda: town.value(TAKEN_SINCE, began, ids), within_seconds, "leads are taken again")
    return round((datetime.now(UTC) - began).total_seconds(), 2)


async def test_redis_is_emptied(town: Cluster) -> None:
    await town.staff(2)
    runs = await dialing(town, 40)
    (tenant, run_id), (other, other_run), *_ = runs
    async with stranger(town.valkey.url) as service:
        # Something must be lost: the position after these is far from where the emptied stream begins.
        await service.say(command(other, other_run, "run.pause", f"before-{other_run}"))
        await other.until(other_run, lambda run: run["status"] == "paused")
        for n in range(trials(3)):
            await service.client.flushall()
            await service.say(command(tenant, run_id, "run.pause", f"pause-{run_id}-{n}"))
            await tenant.until(run_id, lambda run: run["status"] == "paused", BACK_SECONDS)
            await service.say(command(tenant, run_id, "run.resume", f"resume-{run_id}-{n}"))
            await tenant.until(run_id, lambda run: run["status"] != "paused", BACK_SECONDS)
        await service.say(command(other, other_run, "run.resume", f"after-{other_run}"))
    keep("FLUSHALL in the middle", flushes=trials(3), **await completed(town, runs))


@pytest.mark.parametrize("kept", [True, False], ids=["with its data", "without its data"])
async def test_redis_is_away_and_comes_back(town: Cluster, *, kept: bool) -> None:
    await town.staff(2)
    runs = await dialing(town, 80)
    (tenant, run_id), (other, other_run), *rest = runs
    await (town.valkey.stop() if kept else town.valkey.kill())
    began = datetime.now(UTC)
    waits = await go_on(town, runs)
    said = await tenant.cancel(run_id, wait=True)
    await tenant.ended(run_id)
    assert await taken_after(town, run_id) == 0
    await lasting(REDIS_AWAY_SECONDS - (datetime.now(UTC) - began).total_seconds())
    if not kept:
        await town.empty_valkey()
    await town.valkey.start()
    async with stranger(town.valkey.url) as service:
        await service.say(command(other, other_run, "run.pause"))
        await other.until(other_run, lambda run: run["status"] in {"paused", *ENDED}, BACK_SECONDS)
        await service.say(command(other, other_run, "run.resume"))
    figures = await completed(town, [(other, other_run), *rest])
    keep(
        f"Redis away {REDIS_AWAY_SECONDS:g} s, back {'with' if kept else 'without'} its data", first_lead_after=waits, said=said, **figures
    )


async def test_postgresql_falls_over(town: Cluster) -> None:
    await town.staff(2)
    runs = await dialing(town, 80)
    waits = []
    for _ in range(falls := trials(2)):
        await town.postgres.restart(Stop.IMMEDIATE)
        waits.append(await go_on(town, runs, 3 * BACK_SECONDS))
    keep("PostgreSQL immediate restart", falls=falls, leads_taken_again_after=waits, **await completed(town, runs))


async def test_a_storm_kills_every_session(town: Cluster) -> None:
    await town.staff(2)
    runs = await dialing(town, 40)
    killed = 0
    for _ in range(storms := trials(10)):
        killed += int(await town.value(TERMINATE) or 0)
        await lasting(0.3)
    keep("backend kill storm", storms=storms, sessions_killed=killed, **await completed(town, runs))


@pytest.mark.parametrize("held", ["dialer.lanes", "outbound_call_runs"])
async def test_a_stranger_holds_one_businesss_row(town: Cluster, held: str) -> None:
    """An idle session in a transaction, as a forgotten terminal: the others do not notice."""
    await town.staff(2)
    (tenant, run_id), *rest = await dialing(town, 40)
    session = await asyncpg.connect(town.postgres.url)
    try:
        transaction = session.transaction()
        await transaction.start()
        await session.execute(f"SELECT FROM {held} WHERE business_id = $1 FOR UPDATE", tenant.business_id)
        began = datetime.now(UTC)
        for other, other_run in rest:
            assert (await other.ended(other_run))["status"] == "completed"
        seconds = round((datetime.now(UTC) - began).total_seconds(), 2)
        assert (await tenant.seen(run_id))["status"] == "running"
    finally:
        await session.close()
    figures = await completed(town, [(tenant, run_id), *rest])
    keep(f"a foreign session holds a row of {held}", others_ended_after=seconds, **figures)


async def test_the_web_process_is_killed(town: Cluster) -> None:
    """Callbacks meet a closed door; what they would have said is found by asking, 15 s after a call was placed."""
    tenants = [await town.tenant() for _ in range(2)]
    leads = [town.leads(30) for _ in tenants]
    await town.numbers({lead["phone"]: "busy" for some in leads for lead in some})
    runs = [(tenant, await tenant.run(some)) for tenant, some in zip(tenants, leads, strict=True)]
    for tenant, run_id in runs:
        await tenant.taken(run_id, 6)
    await town.kill_web()
    await town.start_web()
    keep("kill -9 of the web process", **await completed(town, runs))
