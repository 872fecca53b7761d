"""The cost of many streams: one read a business and round, however many listeners there are."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp

from dialer.model import Role
from tests.web_site import RUNS, token_digest

if TYPE_CHECKING:
    from tests.web_site import Site

STREAMS = 400
PER_USER = 80
ROUNDS = 3
COMMITTED = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


class Watching:
    """One open stream; `resets` counts how often it was sent the full state."""

    def __init__(self) -> None:
        self.resets = 0
        self.last: dict[str, Any] = {}
        self.moved = asyncio.Event()

    async def read(self, response: aiohttp.ClientResponse) -> None:
        async for line in response.content:
            if line.startswith(b"data: "):
                self.last = json.loads(line.removeprefix(b"data: "))
                self.resets += self.last["type"] == "reset"
                self.moved.set()


async def until_told(watching: list[Watching], resets: int) -> None:
    async with asyncio.timeout(60):
        for one in watching:
            while one.resets < resets:
                one.moved.clear()
                await one.moved.wait()


async def committed(site: Site) -> int:
    return int(await site.database.pool.fetchval(COMMITTED))


async def test_without_redis_a_run_is_read_once_a_round_for_all_listeners(site_without_redis: Site) -> None:
    site = site_without_redis
    run_id = await site.load(4)
    tokens = [f"watcher {n}" for n in range(STREAMS // PER_USER)]
    for token in tokens:
        await site.database.token(site.business, Role.VIEWER, token_digest(token))
    watching = [Watching() for _ in range(STREAMS)]
    address = site.client.make_url(f"{RUNS}/{run_id}/events")
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        reading = []
        for n, one in enumerate(watching):
            headers = {"Authorization": f"Bearer {tokens[n % len(tokens)]}"}
            response = await stack.enter_async_context(session.get(address, headers=headers))
            assert response.status == 200
            reading.append(group.create_task(one.read(response)))
        await until_told(watching, 2)
        before = await committed(site)
        await until_told(watching, 2 + ROUNDS)
        transactions = await committed(site) - before
        for task in reading:
            task.cancel()
    # Three statements a round and the polling of the relay, for the rounds until the slowest stream has had ROUNDS resets: measured were
    # 596 on a busy machine, and 3,403 with one read for each stream.
    assert transactions < STREAMS * ROUNDS
