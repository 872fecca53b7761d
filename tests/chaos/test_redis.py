"""Redis is full, read-only, without its replicas, or hangs, while all dial: calls go on, cancel holds, each event is published once."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import redis.asyncio

from ringmaster.local.ports import LOCALHOST, free_port
from tests.chaos.cluster import Cluster
from tests.chaos.external_client import EVENTS, command, connected
from tests.chaos.figures import keep
from tests.chaos.judge import judge, taken_after
from tests.chaos.polling import lasting, until
from tests.chaos.test_servers import BACK_SECONDS, SPEED, completed, dialing, go_on
from tests.chaos.watch import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

FAULT_SECONDS = 3.0
LEADS = 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of this file."""
    async with Cluster(tmp_path_factory.mktemp("redis"), speed=SPEED) as cluster:
        yield cluster


@asynccontextmanager
async def configured(cluster: Cluster, name: str, fault: str, healthy: str) -> AsyncIterator[None]:
    """Change a setting of the server for the length of the block."""
    async with redis.asyncio.Redis.from_url(cluster.valkey.url) as client:
        await client.config_set(name, fault)
        yield
        await client.config_set(name, healthy)


def full(cluster: Cluster) -> AbstractAsyncContextManager[None]:
    """No memory is left: every write is refused, reads are answered."""
    return configured(cluster, "maxmemory", "1", "0")


def without_replicas(cluster: Cluster) -> AbstractAsyncContextManager[None]:
    """Too few replicas are connected for a write to be taken."""
    return configured(cluster, "min-replicas-to-write", "1", "0")


@asynccontextmanager
async def read_only(cluster: Cluster) -> AsyncIterator[None]:
    """It has become the replica of a primary that is not there."""
    async with redis.asyncio.Redis.from_url(cluster.valkey.url) as client:
        await client.replicaof(LOCALHOST, str(free_port()))
        yield
        await client.replicaof("NO", "ONE")


@asynccontextmanager
async def hanging(cluster: Cluster) -> AsyncIterator[None]:
    """It accepts connections and answers nothing."""
    os.kill(cluster.valkey.pid, SIGSTOP)
    try:
        yield
    finally:
        os.kill(cluster.valkey.pid, SIGCONT)


FAULTS = (full, without_replicas, read_only, hanging)


async def test_redis_refuses_writes_and_hangs(cluster: Cluster) -> None:
    await cluster.scale(2)
    runs = await dialing(cluster, LEADS, businesses=len(FAULTS) + 2)
    seen = {}
    for fault, (tenant, run_id) in zip(FAULTS, runs, strict=False):
        async with fault(cluster):
            waits = await go_on(cluster, runs)
            answer = await tenant.cancel(run_id, wait=True)
            await tenant.ended(run_id)
            await lasting(FAULT_SECONDS)
            assert await taken_after(cluster, run_id) == 0
        seen[fault.__name__] = {"leads_taken_again_after": waits, "answer": answer}
    (other, other_run), last = runs[len(FAULTS) :]
    async with connected(cluster.valkey.url) as service:
        await service.send(command(other, other_run, "run.pause"))
        await other.until(other_run, lambda run: run["status"] in {"paused", *ENDED}, BACK_SECONDS)
        await service.send(command(other, other_run, "run.resume"))
        figures = await completed(cluster, [(other, other_run), last])
        await judge(cluster, [tenant for tenant, _ in runs])
        await until(lambda: _all_published(cluster), BACK_SECONDS, "the outbox is empty")
        published = await service.read(EVENTS, [run for _, run in runs])
    numbered = Counter(entry["id"] for entry in published if entry.get("id"))
    assert max(numbered.values()) == 1
    assert Counter(entry["run_id"] for entry in published if entry["type"] == "run.finished") == {str(run): 1 for _, run in runs}
    keep(f"Redis refuses writes or hangs, {FAULT_SECONDS:g} s each", faults=seen, events=len(numbered), **figures)


async def _all_published(cluster: Cluster) -> bool:
    return bool(await cluster.value("SELECT count(*) FROM dialer.outbox") == 0)
