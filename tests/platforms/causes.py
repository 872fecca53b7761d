"""What makes each alert fire: a fault from outside, for the length of a block; after the block it is mended."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

import asyncpg

from dialer.model import Role
from ringmaster.commands.businesses import token
from ringmaster.local.ports import LOCALHOST, free_port
from sql.dialling.dialling import Dialling
from tests.chaos.external_client import command, connected
from tests.chaos.polling import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.chaos.tenant import Tenant
    from tests.platforms.watched_cluster import WatchedCluster

LEADS = 40
BUSY_REQUESTS = 40
CALLS_SECONDS = 30.0
TRIGGER = """
CREATE FUNCTION dialer.refuse_attempts() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not now''; END';
CREATE TRIGGER refuse BEFORE INSERT ON dialer.attempts FOR EACH ROW WHEN (NEW.business_id = {business_id})
EXECUTE FUNCTION dialer.refuse_attempts()
"""


async def dialling(cluster: WatchedCluster, *, scenario: str = "slow", leads: int = LEADS) -> tuple[Tenant, int]:
    """A business whose run has more leads than are called while the test lasts, and its run."""
    tenant = await cluster.tenant()
    people = cluster.leads(leads)
    await cluster.numbers({person["phone"]: scenario for person in people})
    run_id = await tenant.run(people)
    return tenant, run_id


async def calling(cluster: WatchedCluster) -> tuple[Tenant, int]:
    """The same, with calls in progress."""
    tenant, run_id = await dialling(cluster)
    await tenant.until(run_id, lambda run: run["in_progress"] > 0, CALLS_SECONDS)
    return tenant, run_id


@asynccontextmanager
async def holding(cluster: WatchedCluster, *statements: str) -> AsyncIterator[None]:
    """Another program, without our time-outs, that has locked something and does not let go."""
    foreign = await asyncpg.connect(cluster.postgres.url)
    try:
        async with foreign.transaction():
            for statement in statements:
                await foreign.execute(statement)
            yield
    finally:
        await foreign.close()


@asynccontextmanager
async def all_workers_killed(cluster: WatchedCluster) -> AsyncIterator[None]:
    await calling(cluster)
    for name in list(cluster.workers):
        await cluster.end(name, SIGKILL)
    yield
    await cluster.start_worker()


@asynccontextmanager
async def web_killed(cluster: WatchedCluster) -> AsyncIterator[None]:
    await cluster.kill_web()
    yield
    await cluster.start_web()


@asynccontextmanager
async def partition_locked(cluster: WatchedCluster) -> AsyncIterator[None]:
    for name in list(cluster.workers):
        await cluster.end(name, SIGKILL)
    async with holding(cluster, "SELECT FROM dialer.partitions WHERE partition = 5 FOR UPDATE"):
        await cluster.start_worker()
        await cluster.watch_all()
        yield


@asynccontextmanager
async def redis_down(cluster: WatchedCluster) -> AsyncIterator[None]:
    await cluster.valkey.stop()
    # Its events wait in the outbox.
    await dialling(cluster)
    yield
    await cluster.valkey.start()


@asynccontextmanager
async def database_down(cluster: WatchedCluster) -> AsyncIterator[None]:
    tenant = await cluster.tenant()
    await cluster.postgres.stop()
    for _ in range(6):
        await tenant.request("GET", "/api/outbound/runs")
    yield
    await cluster.postgres.start()


@asynccontextmanager
async def row_locked(cluster: WatchedCluster) -> AsyncIterator[None]:
    """Another program holds a run."""
    tenant, run_id = await calling(cluster)
    async with holding(cluster, f"SELECT FROM outbound_call_runs WHERE id = {run_id} FOR UPDATE"):
        async with connected(cluster.valkey.url) as redis:
            await redis.send(command(tenant, run_id, "run.pause"))
        yield


@asynccontextmanager
async def claims_fail(cluster: WatchedCluster) -> AsyncIterator[None]:
    """Somebody's trigger refuses the attempts of one business."""
    tenant = await cluster.tenant()
    await cluster.pool.execute(TRIGGER.format(business_id=tenant.business_id))
    await tenant.run(cluster.leads(LEADS))
    yield
    await cluster.pool.execute("DROP FUNCTION dialer.refuse_attempts CASCADE")


@asynccontextmanager
async def table_locked(cluster: WatchedCluster) -> AsyncIterator[None]:
    """Another program changes a table of ours, and has not ended."""
    tenant = await cluster.tenant()
    async with holding(cluster, "LOCK TABLE outbound_call_runs IN ACCESS EXCLUSIVE MODE"), asyncio.TaskGroup() as group:
        # Each waits for the table, on a connection of the web process.
        for _ in range(BUSY_REQUESTS):
            group.create_task(tenant.request("GET", "/api/outbound/runs"))
        yield


@asynccontextmanager
async def answers_lost(cluster: WatchedCluster) -> AsyncIterator[None]:
    # Neither a callback nor a list can say that there is no call.
    await cluster.faults(drop_before=1.0, ask_error=1.0)
    await dialling(cluster)
    await dialling(cluster)
    yield
    await cluster.faults()


@asynccontextmanager
async def called_twice(cluster: WatchedCluster) -> AsyncIterator[None]:
    await cluster.faults(twice=1.0)
    tenant, _ = await dialling(cluster, scenario="no-answer", leads=1)

    async def placed() -> bool:
        states = "SELECT count(*) FROM dialer.attempts WHERE business_id = $1 AND state IN ('placed', 'ringing', 'live')"
        return bool(await cluster.value(states, tenant.business_id))

    await until(placed, CALLS_SECONDS, "the call and its double are placed")
    # Nobody is left to hang up the second one, of which the web process hears.
    for name in list(cluster.workers):
        await cluster.end(name, SIGKILL)
    yield
    await cluster.start_worker()
    await cluster.faults()


@asynccontextmanager
async def account_refused(cluster: WatchedCluster) -> AsyncIterator[None]:
    await cluster.faults(refuse_before=1.0, refuse_status=401, refuse_code=20003)
    await dialling(cluster)
    yield
    await cluster.faults()


@asynccontextmanager
async def provider_away(cluster: WatchedCluster) -> AsyncIterator[None]:
    cluster.provider_proxy.refuse()
    await dialling(cluster)
    yield
    await cluster.provider_proxy.accept()


@asynccontextmanager
async def loop_blocked(cluster: WatchedCluster) -> AsyncIterator[None]:
    cluster.stand_still(next(iter(cluster.workers)))
    yield


@asynccontextmanager
async def callbacks_forged(cluster: WatchedCluster) -> AsyncIterator[None]:
    for _ in range(6):
        async with cluster.http.post(f"{cluster.url}/callbacks/1-1-{'0' * 32}", data={"CallStatus": "ringing"}) as response:
            assert response.status == 403
    yield


@asynccontextmanager
async def webhook_away(cluster: WatchedCluster) -> AsyncIterator[None]:
    tenant = await cluster.tenant()
    admin = await token.create(cluster.pool, tenant.business_id, role=Role.ADMIN)
    headers = {"Authorization": f"Bearer {admin['token']}"}
    body = {"url": f"http://{LOCALHOST}:{free_port()}/", "events": ["run.started"]}
    async with cluster.http.post(f"{cluster.url}/api/webhooks", json=body, headers=headers) as response:
        assert response.status == 201, await response.text()
        webhook: dict[str, Any] = await response.json()
    await tenant.run(cluster.leads(3))
    yield
    async with cluster.http.delete(f"{cluster.url}/api/webhooks/{webhook['webhook_id']}", headers=headers) as response:
        assert response.status in {200, 204}, await response.text()


@asynccontextmanager
async def function_missing(cluster: WatchedCluster) -> AsyncIterator[None]:
    await calling(cluster)
    [row] = await cluster.rows("SELECT oid::regprocedure::text AS name FROM pg_proc WHERE proname = 'heartbeat_v1'")
    await cluster.pool.execute(f"ALTER FUNCTION {row['name']} RENAME TO heartbeat_v0")
    yield
    await cluster.pool.execute(f"ALTER FUNCTION {row['name'].replace('_v1', '_v0')} RENAME TO heartbeat_v1")


@asynccontextmanager
async def all_stopped(cluster: WatchedCluster) -> AsyncIterator[None]:
    installation = Dialling(cluster.pool)
    await installation.change_all(stop=True, reason="a test", requested_by="test")
    yield
    await installation.change_all(stop=False, reason=None, requested_by="test")


@asynccontextmanager
async def callbacks_lost(cluster: WatchedCluster) -> AsyncIterator[None]:
    await cluster.faults(callback_drop=1.0)
    await dialling(cluster, scenario="answer")
    await dialling(cluster, scenario="answer")
    yield
    await cluster.faults()


CAUSES: dict[Callable[[WatchedCluster], AbstractAsyncContextManager[None]], frozenset[str]] = {
    all_workers_killed: frozenset({"RingmasterNoWorker", "RingmasterProcessDown", "RingmasterRunsUndriven"}),
    web_killed: frozenset({"RingmasterUnwatched", "RingmasterProcessDown"}),
    partition_locked: frozenset({"RingmasterPartitionsUnowned", "RingmasterLongTransaction"}),
    redis_down: frozenset({"RingmasterRedisAway", "RingmasterStreamBehind", "RingmasterOutboxStalled"}),
    database_down: frozenset({"RingmasterDatabaseAway", "RingmasterLeaseExpired", "RingmasterErrors"}),
    row_locked: frozenset({"RingmasterCommandsWait", "RingmasterRowsLocked"}),
    claims_fail: frozenset({"RingmasterBusinessesStalled"}),
    table_locked: frozenset({"RingmasterPoolBusy"}),
    answers_lost: frozenset({"RingmasterUnknownCalls", "RingmasterAnswersForeign"}),
    called_twice: frozenset({"RingmasterExcessCalls"}),
    account_refused: frozenset({"RingmasterCallsRefused"}),
    provider_away: frozenset({"RingmasterAccountPaused"}),
    loop_blocked: frozenset({"RingmasterLoopBlocked"}),
    callbacks_forged: frozenset({"RingmasterCallbacksRefused"}),
    callbacks_lost: frozenset({"RingmasterCallbacksMissing"}),
    webhook_away: frozenset({"RingmasterWebhooksLate"}),
    function_missing: frozenset({"RingmasterDutyFails"}),
    all_stopped: frozenset({"RingmasterDiallingStopped"}),
}
