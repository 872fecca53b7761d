"""A Redis Cluster of three masters and a replica: the main job, cancel, stop, events, kept callbacks; masters that die and are replaced."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio
from aiohttp.web import AppRunner
from redis.crc import key_slot

from actors.bootstrap import open_services
from dialer.config import ConfigError, Settings
from dialer.messages import CommandType, RunChanged
from dialer.streams.client import CALLBACKS, NOWHERE, RedisUnavailableError, Streams, account_key
from ringmaster.doctor.finding import Status
from ringmaster.doctor.redis_check import check_redis
from tests.chaos.cluster import Cluster
from tests.chaos.external_client import COMMANDS, EVENTS, REJECTED, command, connected
from tests.chaos.judge import judge, taken_after
from tests.chaos.polling import until
from tests.chaos.test_main_job import published
from tests.chaos.test_servers import BACK_SECONDS, SPEED, Runs, completed, dialing, go_on
from tests.redis_cluster import MASTERS, PASSWORD, RedisCluster
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

LEADS = 18
# Both workers together; none waits for it for long.
PACE = 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of this file."""
    nodes = partial(RedisCluster, replicas=1)
    async with Cluster(
        tmp_path_factory.mktemp("redis-cluster"), speed=SPEED, redis_server=nodes, DIALER_CALLS_PER_SECOND=str(PACE)
    ) as cluster:
        yield cluster


def redis_of(cluster: Cluster) -> RedisCluster:
    """The nodes of Redis."""
    return cast("RedisCluster", cluster.valkey)


@asynccontextmanager
async def streams_of(url: str) -> AsyncIterator[Streams]:
    """Our own connection, for the length of a block."""
    streams = Streams(url)
    try:
        yield streams
    finally:
        await streams.close()


async def redis_state(cluster: Cluster) -> str:
    """What /readyz says of Redis."""
    async with cluster.http.get(f"{cluster.url}/readyz") as response:
        return str((await response.json())["redis"])


async def is_ready(cluster: Cluster) -> bool:
    return await redis_state(cluster) == "ok"


async def first_event(tenant: Tenant, run_id: int, kind: str) -> dict[str, object]:
    """The data of the first event of this kind that the page of a run is sent."""
    headers = {"Authorization": f"Bearer {tenant.token}"}
    async with tenant.http.get(f"{tenant.url}/api/outbound/runs/{run_id}/events", headers=headers) as response:
        current = ""
        async for line in response.content:
            name, _, text = line.decode().rstrip("\n").partition(": ")
            current = text if name == "event" else current
            if name == "data" and current == kind:
                return dict(json.loads(text))
    message = f"no event {kind}"
    raise AssertionError(message)


async def each_end_published_once(cluster: Cluster, runs: Runs) -> None:
    """The outbox is empty, and the stream has the end of each run once."""
    await until(lambda: _outbox_empty(cluster), BACK_SECONDS, "the outbox is empty")
    async with connected(cluster.valkey.url) as service:
        entries = await service.read(EVENTS, [run_id for _, run_id in runs])
    assert Counter(entry["run_id"] for entry in entries if entry["type"] == "run.finished") == {str(run_id): 1 for _, run_id in runs}


async def _outbox_empty(cluster: Cluster) -> bool:
    return bool(await cluster.value("SELECT count(*) FROM dialer.outbox") == 0)


async def test_commands_events_cancel_stop_and_the_shared_pace(cluster: Cluster) -> None:
    await cluster.scale(2)
    assert await is_ready(cluster)
    tenant = await cluster.tenant()
    run_id = await tenant.run(cluster.leads(LEADS), start=False)
    stopped = await tenant.run(cluster.leads(LEADS))
    async with connected(cluster.valkey.url) as other:
        await other.send({"v": "1", "type": "run.dance", "business_id": "x", "id": f"bad-{run_id}"})
        await other.send(*[command(tenant, run_id, "run.start")] * 2)
        assert await first_event(tenant, run_id, "run.progress")
        await tenant.taken(run_id, 8)
        await tenant.stop(stopped, wait=True)
        await other.send(*[command(tenant, run_id, "run.cancel")] * 2)
        assert (await tenant.ended(run_id))["status"] == "cancelled"
        assert (await tenant.ended(stopped))["status"] == "stopped"
        await until(lambda: published(other, run_id), BACK_SECONDS, "the end of the run and four answers are published")
        assert [entry["id"] for entry in await other.read(REJECTED)] == [f"bad-{run_id}"]
        # The bucket of the account is in Redis: no worker keeps a pace of its own.
        assert await other.client.hget(account_key(cluster.simulator.environment["TWILIO_ACCOUNT_SID"]), "tokens")
    assert await taken_after(cluster, run_id) == await taken_after(cluster, stopped) == 0
    await judge(cluster, [tenant])
    await each_end_published_once(cluster, [(tenant, run_id), (tenant, stopped)])


async def test_callbacks_are_kept_while_postgresql_is_away(cluster: Cluster) -> None:
    runs = await dialing(cluster, LEADS, businesses=1)
    async with connected(cluster.valkey.url) as other:
        await cluster.postgres.stop()

        async def kept() -> bool:
            return bool(await other.client.xlen(CALLBACKS))

        try:
            await until(kept, BACK_SECONDS, "a callback is kept")
        finally:
            await cluster.postgres.start()
        await completed(cluster, runs)

        async def replayed() -> bool:
            return not await kept()

        await until(replayed, BACK_SECONDS, "the callbacks are replayed")


@pytest.mark.parametrize("key", [EVENTS, "dialer:{inbox}:p0"])
async def test_a_master_is_killed_and_comes_back_while_calls_run(cluster: Cluster, key: str) -> None:
    await cluster.scale(2)
    runs = await dialing(cluster, LEADS, businesses=2)
    (tenant, run_id), last = runs
    master = await redis_of(cluster).master(key)
    await master.kill()
    assert await redis_state(cluster) == "partly away"
    await go_on(cluster, runs)
    await tenant.cancel(run_id, wait=True)
    await tenant.ended(run_id)
    assert await taken_after(cluster, run_id) == 0
    await master.start()
    await until(lambda: is_ready(cluster), BACK_SECONDS, "every master answers")
    await completed(cluster, [last])
    await judge(cluster, [tenant])
    await each_end_published_once(cluster, runs)


async def test_a_master_that_hangs_or_a_read_that_waits_holds_up_nobody_else(cluster: Cluster) -> None:
    nodes, hint = redis_of(cluster), RunChanged(1, 1, CommandType.STOP)
    hung = (await nodes.master(COMMANDS)).pid
    async with streams_of(nodes.url) as streams, asyncio.TaskGroup() as group:
        reads = [group.create_task(streams.hints_after({n: await streams.start_of_hints()}, block_seconds=BACK_SECONDS)) for n in range(40)]
        os.kill(hung, SIGSTOP)
        try:
            with pytest.raises(RedisUnavailableError):
                await streams.commands_after(NOWHERE, block_seconds=0.1)
            assert not await streams.can_write()
            assert await redis_state(cluster) == "partly away"
            assert await streams.event_window()
            assert await streams.send_hints([(n, hint) for n in range(len(reads))])
            assert all([[heard for _, _, heard in await read] == [hint] for read in reads])
        finally:
            os.kill(hung, SIGCONT)
        await until(streams.ping, BACK_SECONDS, "it answers again")


async def test_a_slot_that_moves_is_followed(cluster: Cluster) -> None:
    nodes = redis_of(cluster)
    key = "dialer:{a-slot-that-moves}"
    slot, old = key_slot(key.encode()), await nodes.master(key)
    new = nodes.nodes[1] if old is nodes.nodes[2] else nodes.nodes[2]
    ids = {node: str(await nodes.ask(node, "CLUSTER", "MYID")) for node in (old, new)}
    async with streams_of(nodes.url) as streams:

        async def written(number: int) -> bool:
            return bool(await streams.run_script("return redis.call('SET', KEYS[1], ARGV[1])", [key], [str(number)]))

        assert await streams.ping()
        await nodes.ask(new, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[old])
        await nodes.ask(old, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[new])
        assert await written(1)
        assert await nodes.ask(new, "CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        for node in (new, old):
            await nodes.ask(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[new])
        assert await written(2)
    assert await nodes.ask(new, "GET", key) == "2"


async def test_doctor_asks_every_master(cluster: Cluster) -> None:
    nodes = redis_of(cluster)
    async with streams_of(nodes.url) as streams:
        assert {one.name: one.status for one in [one async for one in check_redis(streams)] if one.status is not Status.OK} == {}
        assert len(await streams.times()) == MASTERS
        await nodes.ask(nodes.nodes[1], "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        [wrong] = [one async for one in check_redis(streams) if one.status is not Status.OK]
        await nodes.ask(nodes.nodes[1], "CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert (wrong.name, wrong.status) == ("redis_policy", Status.FAIL)
    assert wrong.detail == f"Redis {nodes.place(nodes.nodes[1])}: maxmemory-policy is allkeys-lru"


async def test_an_address_of_the_wrong_kind_is_refused_at_the_start(cluster: Cluster) -> None:
    environment = {**cluster.environment, "REDIS_URL": redis_of(cluster).nodes[1].url, "PORT": "0"}
    settings = Settings.model_validate(environment)
    with pytest.raises(ConfigError, match="REDIS_URL: this Redis is a node of a cluster"):
        async with open_services(settings):
            pass
    web = AppRunner(create_app(settings))
    with pytest.raises(ConfigError, match="REDIS_URL: this Redis is a node of a cluster"):
        await web.setup()
    await web.cleanup()


async def test_a_replica_takes_over(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await cluster.scale(2)
    runs = await dialing(cluster, LEADS, businesses=2)
    nodes = redis_of(cluster)
    first, _, _, other = nodes.nodes
    master, replica = (first, other) if await nodes.master(COMMANDS) is first else (other, first)
    async with streams_of(nodes.url) as streams:
        assert await streams.ping()
        await master.kill()
        assert not await streams.ping()
        await nodes.promote(replica)
        await until(streams.ping, BACK_SECONDS, "the replica is known as master")
        assert await streams.newest_command() is not None
    await until(lambda: is_ready(cluster), BACK_SECONDS, "the web process knows the new master")
    await master.start()
    async with connected(nodes.url) as service:
        await service.send(*(command(tenant, run_id, "run.cancel") for tenant, run_id in runs))
    for tenant, run_id in runs:
        assert (await tenant.ended(run_id))["status"] in {"cancelled", "completed"}
    await judge(cluster, [tenant for tenant, _ in runs])
    await each_end_published_once(cluster, runs)
    logs = caplog.text + cluster.log("web")
    assert nodes.place(replica) in logs
    assert PASSWORD not in logs
