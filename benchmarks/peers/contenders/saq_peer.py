"""saq on Redis: no limit for a key."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from contest import CONCURRENCY, Contest, main
from saq import Queue, Worker

SECONDS = 600  # that a job may take, and that its result is kept


async def load(contest: Contest) -> None:
    """Enqueue."""
    queue = Queue.from_url(contest.redis)
    await queue.connect()
    for key in contest.of_each():
        await queue.enqueue("call", number=key, ttl=SECONDS, timeout=SECONDS)
    await queue.disconnect()


async def work(contest: Contest) -> None:
    """Work until all is done."""

    async def call(_context: dict, *, number: int) -> None:
        await contest.log.call(number)

    queue = Queue.from_url(contest.redis)
    await queue.connect()
    worker = Worker(queue, [("call", call)], concurrency=CONCURRENCY)
    working = asyncio.create_task(worker.start())
    await contest.watch(lambda: _done(queue, contest.total))
    await worker.stop()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def _done(queue: Queue, total: int) -> int:
    return total - await queue.count("incomplete")


main(load, work)
