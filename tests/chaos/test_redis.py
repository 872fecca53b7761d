"""Redis is full, read-only, without its replicas, or hangs, while everybody dials: calls go on, cancel holds, each event is told once.

On the road of a call: under all of it; Redis carries words between processes, PostgreSQL decides.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import redis.asyncio

from dialer.embedded.place import LOCALHOST, free_port
from tests.chaos.figures import keep
from tests.chaos.judge import judge, taken_after
from tests.chaos.stranger import EVENTS, command, stranger
from tests.chaos.test_servers import BACK_SECONDS, SPEED, completed, dialing, go_on
from tests.chaos.town import Town
from tests.chaos.waiting import lasting, until
from tests.chaos.watch import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

FAULT_SECONDS = 3.0
LEADS = 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """The town of this file."""
    async with Town(tmp_path_factory.mktemp("redis"), speed=SPEED) as town:
        yield town


@asynccontextmanager
async def configured(town: Town, name: str, fault: str, healthy: str) -> AsyncIterator[None]:
    """Change a setting of the server for the length of the block."""
    async with redis.asyncio.Redis.from_url(town.valkey.url) as client:
        await client.config_set(name, fault)
        yield
        await client.config_set(name, healthy)


def full(town: Town) -> AbstractAsyncContextManager[None]:
    """No memory is left: every write is refused, reads are answered."""
    return configured(town, "maxmemory", "1", "0")


def without_replicas(town: Town) -> AbstractAsyncContextManager[None]:
    """Too few replicas are connected for a write to be taken."""
    return configured(town, "min-replicas-to-write", "1", "0")


@asynccontextmanager
async def read_only(town: Town) -> AsyncIterator[None]:
    """It has become the replica of a primary that is not there."""
    async with redis.asyncio.Redis.from_url(town.valkey.url) as client:
        await client.replicaof(LOCALHOST, str(free_port()))
        yield
        await client.replicaof("NO", "ONE")


@asynccontextmanager
async def hanging(town: Town) -> AsyncIterator[None]:
    """It accepts connections and answers nothing."""
    os.kill(town.valkey.pid, SIGSTOP)
    try:
        yield
    finally:
        os.kill(town.valkey.pid, SIGCONT)


FAULTS = (full, without_replicas, read_only, hanging)


async def test_redis_refuses_writes_and_hangs(town: Town) -> None:
    await town.staff(2)
    runs = await dialing(town, LEADS, businesses=len(FAULTS) + 2)
    seen = {}
    for fault, (tenant, run_id) in zip(FAULTS, runs, strict=False):
        async with fault(town):
            waits = await go_on(town, runs)
            said = await tenant.cancel(run_id, wait=True)
            await tenant.ended(run_id)
            await lasting(FAULT_SECONDS)
            assert await taken_after(town, run_id) == 0
        seen[fault.__name__] = {"leads_taken_again_after": waits, "said": said}
    (other, other_run), last = runs[len(FAULTS) :]
    async with stranger(town.valkey.url) as service:
        await service.say(command(other, other_run, "run.pause"))
        await other.until(other_run, lambda run: run["status"] in {"paused", *ENDED}, BACK_SECONDS)
        await service.say(command(other, other_run, "run.resume"))
        figures = await completed(town, [(other, other_run), last])
        await judge(town, [tenant for tenant, _ in runs])
        await until(lambda: _all_told(town), BACK_SECONDS, "the outbox is empty")
        told = await service.heard(EVENTS, [run for _, run in runs])
    numbered = Counter(entry["id"] for entry in told if entry.get("id"))
    assert max(numbered.values()) == 1
    assert Counter(entry["run_id"] for entry in told if entry["type"] == "run.finished") == {str(run): 1 for _, run in runs}
    keep(f"Redis refuses writes or hangs, {FAULT_SECONDS:g} s each", faults=seen, events=len(numbered), **figures)


async def _all_told(town: Town) -> bool:
    return bool(await town.value("SELECT count(*) FROM dialer.outbox") == 0)
