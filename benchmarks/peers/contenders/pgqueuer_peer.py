"""pgqueuer: an entrypoint for each key with `concurrency_limit=3`, which its dequeue statement enforces over all workers."""

from __future__ import annotations

import asyncio

import asyncpg
from contest import CONCURRENCY, LIMIT, Contest, main
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

BATCH = CONCURRENCY // 2  # it wants max_concurrent_tasks to be at least twice the batch
COUNT = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"


async def load(contest: Contest) -> None:
    """Install and enqueue."""
    queries = Queries(AsyncpgDriver(await asyncpg.connect(contest.database)))
    await queries.install()
    keys = contest.of_each()
    await queries.enqueue([f"key{key}" for key in keys], [None] * len(keys), [0] * len(keys))


async def work(contest: Contest) -> None:
    """Work until all is done."""
    pgq = PgQueuer(AsyncpgDriver(await asyncpg.connect(contest.database)))
    for key in range(contest.keys):
        pgq.entrypoint(f"key{key}", concurrency_limit=LIMIT)(_handler(contest, key))
    working = asyncio.create_task(pgq.run(batch_size=BATCH, max_concurrent_tasks=CONCURRENCY))
    store = await asyncpg.connect(contest.database)
    await contest.watch(lambda: store.fetchval(COUNT))
    pgq.shutdown.set()
    working.cancel()


def _handler(contest: Contest, key: int):  # noqa: ANN202 pgqueuer has the type
    async def handle(_job) -> None:  # noqa: ANN001
        await contest.log.call(key)

    return handle


main(load, work)
