"""pgqueuer: an entrypoint for each key with `concurrency_limit=3`, which its dequeue statement enforces over all workers.

Settings as its guide to performance has them, and the batch that was fastest of 10, 20, 30, 35, 50, 100 and 125: the more keys, the larger.
"""

from __future__ import annotations

import asyncio

import asyncpg
from contest import LIMIT, Contest, main
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

TASKS = 100
BATCH, BATCH_OF_MANY_KEYS, MANY_KEYS = 10, 50, 300
COUNT = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"


async def load(contest: Contest) -> None:
    """Install and enqueue."""
    queries = Queries(AsyncpgDriver(await asyncpg.connect(contest.database)))
    await queries.install()
    await queries.optimize_autovacuum()
    keys = contest.of_each()
    await queries.enqueue([f"key{key}" for key in keys], [None] * len(keys), [0] * len(keys))


async def work(contest: Contest) -> None:
    """Work until all is done."""
    pgq = PgQueuer(AsyncpgDriver(await asyncpg.connect(contest.database)))
    for key in range(contest.keys):
        pgq.entrypoint(f"key{key}", concurrency_limit=LIMIT)(_handler(contest, key))
    batch = BATCH_OF_MANY_KEYS if contest.keys > MANY_KEYS else BATCH
    working = asyncio.create_task(pgq.run(batch_size=batch, max_concurrent_tasks=TASKS))
    store = await asyncpg.connect(contest.database)
    await contest.watch(lambda: store.fetchval(COUNT))
    pgq.shutdown.set()
    working.cancel()


def _handler(contest: Contest, key: int):  # noqa: ANN202 pgqueuer has the type
    async def handle(_job) -> None:  # noqa: ANN001
        await contest.log.call(key)

    return handle


main(load, work)
