"""taskiq on a Redis stream, with its results in Redis: no limit for a key."""

from __future__ import annotations

import asyncio

from contest import CONCURRENCY, Contest, main
from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

PREFIX = "result"
SECONDS = 600  # that a result is kept


async def load(contest: Contest) -> None:
    """Send all tasks."""
    broker = _broker(contest)
    await broker.startup()
    task = broker.find_task("call")
    for key in contest.of_each():
        await task.kiq(key)
    await broker.shutdown()


async def work(contest: Contest) -> None:
    """Work until all is done."""
    broker = _broker(contest)
    receiver = asyncio.create_task(run_receiver_task(broker, max_async_tasks=CONCURRENCY, run_startup=True))
    async with Redis.from_url(contest.redis) as store:
        await contest.watch(lambda: _results(store))
    receiver.cancel()
    await broker.shutdown()


def _broker(contest: Contest) -> RedisStreamBroker:
    results = RedisAsyncResultBackend(contest.redis, prefix_str=PREFIX, result_ex_time=SECONDS)
    broker = RedisStreamBroker(contest.redis, xread_count=CONCURRENCY).with_result_backend(results)

    @broker.task(task_name="call")
    async def call(key: int) -> None:
        await contest.log.call(key)

    return broker


async def _results(store: Redis) -> int:
    return sum([1 async for _ in store.scan_iter(f"{PREFIX}:*", count=10_000)])


main(load, work)
