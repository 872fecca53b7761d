"""Redis is emptied, away and back; PostgreSQL falls over, its sessions are killed, another session locks a row: no lead is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from ringmaster.local.postgres import Stop
from tests.chaos.cluster import Cluster
from tests.chaos.external_client import command, connected
from tests.chaos.figures import keep, trials
from tests.chaos.judge import judge, taken_after
from tests.chaos.polling import lasting, until
from tests.chaos.watch import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

SPEED = 40.0
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
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of this file."""
    async with Cluster(tmp_path_factory.mktemp("servers"), speed=SPEED) as cluster:
        yield cluster


async def dialing(cluster: Cluster, leads: int, businesses: int = BUSINESSES) -> Runs:
    """Businesses in the middle of their runs."""
    tenants = [await cluster.tenant() for _ in range(businesses)]
    runs = [(tenant, await tenant.run(cluster.leads(leads))) for tenant in tenants]
    for tenant, run_id in runs:
        await tenant.taken(run_id, 6)
    return runs


async def completed(cluster: Cluster, runs: Runs) -> dict[str, int]:
    """Wait until all are completed, and judge."""
    for tenant, run_id in runs:
        run = await tenant.ended(run_id, 120)
        assert run["status"] == "completed", run
    figures = await judge(cluster, [tenant for tenant, _ in runs])
    assert figures["calls"] == figures["leads"]
    return figures


async def go_on(cluster: Cluster, runs: Runs, within_seconds: float = BACK_SECONDS) -> float:
    """Wait until leads are taken after now, by any of these businesses; return how many seconds it took."""
    began = datetime.now(UTC)
    ids = [tenant.business_id for tenant, _ in runs]
    await until(lambda: cluster.value(TAKEN_SINCE, began, ids), within_seconds, "leads are taken again")
    return round((datetime.now(UTC) - began).total_seconds(), 2)


async def test_redis_is_emptied(cluster: Cluster) -> None:
    await cluster.scale(2)
    runs = await dialing(cluster, 24)
    (tenant, run_id), (other, other_run), *_ = runs
    async with connected(cluster.valkey.url) as service:
        # Something must be lost: the position after these is far from where the emptied stream begins.
        await service.send(command(other, other_run, "run.pause", f"before-{other_run}"))
        await other.until(other_run, lambda run: run["status"] == "paused")
        for n in range(trials(3)):
            await service.client.flushall()
            await service.send(command(tenant, run_id, "run.pause", f"pause-{run_id}-{n}"))
            await tenant.until(run_id, lambda run: run["status"] == "paused", BACK_SECONDS)
            await service.send(command(tenant, run_id, "run.resume", f"resume-{run_id}-{n}"))
            await tenant.until(run_id, lambda run: run["status"] != "paused", BACK_SECONDS)
        await service.send(command(other, other_run, "run.resume", f"after-{other_run}"))
    keep("FLUSHALL in the middle", flushes=trials(3), **await completed(cluster, runs))


@pytest.mark.parametrize("kept", [True, False], ids=["with its data", "without its data"])
async def test_redis_is_away_and_comes_back(cluster: Cluster, *, kept: bool) -> None:
    await cluster.scale(2)
    runs = await dialing(cluster, 48)
    (tenant, run_id), (other, other_run), *rest = runs
    await (cluster.valkey.stop() if kept else cluster.valkey.kill())
    began = datetime.now(UTC)
    waits = await go_on(cluster, runs)
    response = await tenant.cancel(run_id, wait=True)
    await tenant.ended(run_id)
    assert await taken_after(cluster, run_id) == 0
    await lasting(REDIS_AWAY_SECONDS - (datetime.now(UTC) - began).total_seconds())
    if not kept:
        await cluster.empty_valkey()
    await cluster.valkey.start()
    async with connected(cluster.valkey.url) as service:
        await service.send(command(other, other_run, "run.pause"))
        await other.until(other_run, lambda run: run["status"] in {"paused", *ENDED}, BACK_SECONDS)
        await service.send(command(other, other_run, "run.resume"))
    figures = await completed(cluster, [(other, other_run), *rest])
    keep(
        f"Redis away {REDIS_AWAY_SECONDS:g} s, back {'with' if kept else 'without'} its data",
        first_lead_after=waits,
        response=response,
        **figures,
    )


async def test_postgresql_falls_over(cluster: Cluster) -> None:
    await cluster.scale(2)
    runs = await dialing(cluster, 48)
    waits = []
    for _ in range(falls := trials(2)):
        await cluster.postgres.restart(Stop.IMMEDIATE)
        waits.append(await go_on(cluster, runs, 3 * BACK_SECONDS))
    keep("PostgreSQL immediate restart", falls=falls, leads_taken_again_after=waits, **await completed(cluster, runs))


async def test_a_storm_kills_every_session(cluster: Cluster) -> None:
    await cluster.scale(2)
    runs = await dialing(cluster, 24)
    killed = 0
    for _ in range(storms := trials(5)):
        killed += int(await cluster.value(TERMINATE) or 0)
        await lasting(0.3)
    keep("backend kill storm", storms=storms, sessions_killed=killed, **await completed(cluster, runs))


@pytest.mark.parametrize("held", ["dialer.lanes", "outbound_call_runs"])
async def test_another_session_locks_the_row_of_one_business(cluster: Cluster, held: str) -> None:
    """An idle session in a transaction, as a forgotten terminal: the others do not notice."""
    await cluster.scale(2)
    (tenant, run_id), *rest = await dialing(cluster, 24)
    session = await asyncpg.connect(cluster.postgres.url)
    try:
        transaction = session.transaction()
        await transaction.start()
        await session.execute(f"SELECT FROM {held} WHERE business_id = $1 FOR UPDATE", tenant.business_id)
        began = datetime.now(UTC)
        for other, other_run in rest:
            assert (await other.ended(other_run))["status"] == "completed"
        seconds = round((datetime.now(UTC) - began).total_seconds(), 2)
        assert (await tenant.read_run(run_id))["status"] == "running"
    finally:
        await session.close()
    figures = await completed(cluster, [(tenant, run_id), *rest])
    keep(f"a row of {held} locked", others_ended_after=seconds, **figures)


async def test_the_web_process_is_killed(cluster: Cluster) -> None:
    """Callbacks are refused; each call is reconciled with the provider 15 s after it was placed."""
    tenants = [await cluster.tenant() for _ in range(2)]
    leads = [cluster.leads(30) for _ in tenants]
    await cluster.numbers({lead["phone"]: "busy" for some in leads for lead in some})
    runs = [(tenant, await tenant.run(some)) for tenant, some in zip(tenants, leads, strict=True)]
    for tenant, run_id in runs:
        await tenant.taken(run_id, 6)
    await cluster.kill_web()
    await cluster.start_web()
    keep("kill -9 of the web process", **await completed(cluster, runs))
