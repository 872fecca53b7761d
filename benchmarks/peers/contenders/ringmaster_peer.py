"""Ringmaster: a business for each key, with three slots over all workers; claims and records without a telephone company."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING
from uuid import uuid4

from contest import Contest, main

from benchmarks.queue import load_businesses
from benchmarks.rounds import BATCH, SLOTS, Round
from sql.attempts.attempts import Attempts, ClaimRequest
from sql.migrate import migrate
from sql.pool import open_pool
from sql.workers.workers import Workers

if TYPE_CHECKING:
    from sql.attempts.attempts import ClaimedAttempt
    from sql.pool import Pool

# At a time in each worker, of 63 calls at most: as many as most peers run. Fewer where there are too few businesses to fill them.
ROUNDS = 4
PARTITIONS = 256
COUNT = "SELECT count(*) FROM outbound_call_jobs WHERE status = 'completed'"


async def load(contest: Contest) -> None:
    """Migrate, and start a run in each business."""
    await migrate(contest.database)
    pool = await open_pool(contest.database, name="bench", size=2)
    await load_businesses(pool, contest.keys, contest.jobs)
    await pool.close()


async def work(contest: Contest) -> None:
    """Take this worker's share of the partitions over, and work until all is done."""
    pool = await open_pool(contest.database, name="bench", size=2 * ROUNDS + 2, planned=True)
    rounds = await _rounds(contest, pool)
    await asyncio.gather(*(one.run() for one in rounds))
    await contest.watch(lambda: pool.fetchval(COUNT))
    await pool.close()


async def _rounds(contest: Contest, pool: Pool) -> list[Round]:
    incarnation = uuid4()
    workers = Workers(pool)
    await workers.join(incarnation, f"worker{contest.worker}", 3600)
    epochs = await workers.take_over(incarnation, list(range(contest.worker, PARTITIONS, contest.workers)))
    lanes = await pool.fetch("SELECT business_id, partition FROM dialer.lanes WHERE partition = ANY($1) ORDER BY business_id", list(epochs))
    requests = [ClaimRequest(row["business_id"], epochs[row["partition"]], SLOTS) for row in lanes]

    async def call(attempt: ClaimedAttempt) -> None:
        await contest.log.call(attempt.business_id)

    rounds = min(ROUNDS, math.ceil(len(requests) / BATCH))
    return [Round(Attempts(pool), incarnation, {one.business_id: one for one in requests[n::rounds]}, call) for n in range(rounds)]


main(load, work)
