"""pydocket: `ConcurrencyLimit(3)` by the argument of the task, kept in Redis over all workers."""

from __future__ import annotations

import asyncio
from typing import Annotated

from contest import CONCURRENCY, LIMIT, Contest, main
from docket import ConcurrencyLimit, Docket, Worker
from redis.asyncio import Redis

NAME = "peer"
STATE: dict[str, Contest] = {}
KEYS_A_ROUND_TRIP = 5_000


async def call(key: Annotated[int, ConcurrencyLimit(LIMIT)]) -> None:
    """Call."""
    await STATE["contest"].log.call(key)


async def load(contest: Contest) -> None:
    """Add all jobs."""
    async with Docket(name=NAME, url=contest.redis) as docket:
        docket.register(call)
        for key in contest.of_each():
            await docket.add(call)(key)


async def work(contest: Contest) -> None:
    """Work until all is done."""
    STATE["contest"] = contest
    async with Docket(name=NAME, url=contest.redis) as docket, Redis.from_url(contest.redis) as store:
        docket.register(call)
        async with Worker(docket, name=f"worker{contest.worker}", concurrency=CONCURRENCY) as worker:
            working = asyncio.create_task(worker.run_forever())
            await contest.watch(lambda: _completed(store))
            working.cancel()


async def _completed(store: Redis) -> int:
    done = 0
    keys = [key async for key in store.scan_iter(f"{NAME}:runs:*", count=10_000)]
    for first in range(0, len(keys), KEYS_A_ROUND_TRIP):
        pipeline = store.pipeline(transaction=False)
        for key in keys[first : first + KEYS_A_ROUND_TRIP]:
            pipeline.hget(key, "state")
        done += sum(state == b"completed" for state in await pipeline.execute())
    return done


main(load, work)
