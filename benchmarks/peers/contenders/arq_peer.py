"""arq on Redis: no limit for a key."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func
from contest import CONCURRENCY, Contest, main

POLL_DELAY_SECONDS = 0.01  # less than its own half second, so that it never waits for work


async def load(contest: Contest) -> None:
    """Enqueue."""
    pool = await create_pool(RedisSettings.from_dsn(contest.redis))
    for key in contest.of_each():
        await pool.enqueue_job("call", key)
    await pool.aclose()


async def work(contest: Contest) -> None:
    """Work until all is done."""

    async def call(_context: dict, key: int) -> None:
        await contest.log.call(key)

    settings = RedisSettings.from_dsn(contest.redis)
    worker = Worker(
        [func(call, name="call")], redis_settings=settings, max_jobs=CONCURRENCY, poll_delay=POLL_DELAY_SECONDS, handle_signals=False
    )
    working = asyncio.create_task(worker.async_run())
    pool = await create_pool(settings)
    await contest.watch(lambda: _results(pool))
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def _results(pool) -> int:  # noqa: ANN001 arq's ArqRedis
    return sum([1 async for _ in pool.scan_iter("arq:result:*", count=10_000)])


main(load, work)
