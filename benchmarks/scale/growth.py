"""The cost of claims and records as jobs grow in number, after a long history, and while an open transaction blocks VACUUM."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg

from benchmarks.queue import LOADED_TABLES
from benchmarks.rounds import SLOTS, Round
from ringmaster.local.postgres import Postgres
from sql.attempts.attempts import Attempts, ClaimRequest
from sql.businesses.businesses import Businesses
from sql.migrate import migrate
from sql.pool import open_pool
from sql.runs.new_lead import NewLead
from sql.runs.new_run import NewRun, Request
from sql.runs.runs import Runs
from sql.workers.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from sql.pool import Pool

BUSINESSES = 1_000
PARTITIONS = 256
CLAIMERS = 2
WARM_UP_CALLS = 600
CALLS = 6_000  # measured at each size, of both claimers together
LEADS_A_RUN = 5_000
ROWS_A_STATEMENT = 100_000
SNAPSHOT_CALLS = 20_000
PAST = """INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, account_sid, ring_seconds,
                                     created_at, send_by, outcome)
    SELECT $1 + n % $2, 0, 0, 'over', gen_random_uuid(), gen_random_uuid(), '+1' || lpad((n % 1000000000)::text, 10, '0'),
           '+12025550100', 'AC', 30, now() - interval '2 days', now(), 'completed'
    FROM generate_series($3::bigint, $4::bigint - 1) n"""


@dataclass(frozen=True, slots=True)
class Stage:
    """What was measured with so many `jobs` and so many attempts of the `past`: a claim of 30 businesses, and calls a second."""

    label: str
    jobs: int
    past: int
    claim_p50_ms: float
    claim_p99_ms: float
    calls_a_second: float


async def measure(sizes: Sequence[int], past: int) -> AsyncIterator[Stage]:
    """Grow one database through `sizes` jobs, then add `past` attempts, then pin a snapshot; yield each stage when it is measured."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ringmaster-bench-")))
        server = Postgres(folder / "postgres")
        await server.start()
        stack.push_async_callback(server.stop)
        await migrate(server.url)
        pool = await stack.enter_async_context(await open_pool(server.url, name="bench", size=2 * CLAIMERS + 2))
        own = await asyncpg.connect(server.url)  # the pool's statements time out
        stack.push_async_callback(own.close)
        queue = _Queue(pool, await _businesses(pool))
        await queue.join()
        for size in sizes:
            await queue.grow(size)
            await own.execute(f"VACUUM ANALYZE {LOADED_TABLES}, dialer.attempts")
            yield await queue.stage(f"{size:,} jobs", 0)
        for first in range(0, past, ROWS_A_STATEMENT):
            await own.execute(PAST, queue.businesses[0], BUSINESSES, first, min(first + ROWS_A_STATEMENT, past))
        await own.execute("VACUUM ANALYZE dialer.attempts")
        yield await queue.stage(f"and {past:,} calls of the past", past)
        snapshot = await asyncpg.connect(server.url, server_settings={"idle_in_transaction_session_timeout": "0"})
        stack.push_async_callback(snapshot.close)
        await snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await snapshot.fetchval("SELECT count(*) FROM dialer.businesses")
        await queue.call(SNAPSHOT_CALLS)
        yield await queue.stage(f"and {SNAPSHOT_CALLS:,} calls after a snapshot was pinned", past)


async def _businesses(pool: Pool) -> list[int]:
    create = Businesses(pool).create
    return [await create(name="Bench", caller_id="+12025550100", region="US", timezone="UTC", max_calls=SLOTS) for _ in range(BUSINESSES)]


class _Queue:
    """The businesses of the benchmark, and the worker that owns them."""

    def __init__(self, pool: Pool, businesses: list[int]) -> None:
        self._pool = pool
        self._incarnation: UUID = uuid4()
        self._requests: list[ClaimRequest] = []
        self._jobs = 0
        self._next = 0
        self.businesses = businesses

    async def join(self) -> None:
        """Own every partition."""
        workers = Workers(self._pool)
        await workers.join(self._incarnation, "bench", 24 * 3600)
        epochs = await workers.take_over(self._incarnation, list(range(PARTITIONS)))
        lanes = await self._pool.fetch("SELECT business_id, partition FROM dialer.lanes ORDER BY business_id")
        self._requests = [ClaimRequest(row["business_id"], epochs[row["partition"]], SLOTS) for row in lanes]

    async def grow(self, jobs: int) -> None:
        """Load runs until there are so many jobs, as many of each business."""
        runs = Runs(self._pool)
        until = jobs // BUSINESSES
        for n, business in enumerate(self.businesses):
            for first in range(self._jobs, until, LEADS_A_RUN):
                numbers = range(first + 1, min(first + LEADS_A_RUN, until) + 1)
                leads = [NewLead(k, f"+1{n:04}{k:06}", None, "US:UTC") for k in numbers]
                await runs.create(NewRun(business, "bench", SLOTS, leads, start=True), Request(f"http:{uuid4()}", b"", "bench", {}))
        self._jobs = until

    async def stage(self, label: str, past: int) -> Stage:
        """Call some leads to warm up, then measure."""
        await self.call(WARM_UP_CALLS)
        started_at = time.perf_counter()
        rounds = await self.call(CALLS)
        seconds = time.perf_counter() - started_at
        claims = sorted(ms for one in rounds for ms in one.claim_ms)
        middle, late = claims[len(claims) // 2], claims[int(len(claims) * 0.99)]
        return Stage(label, self._jobs * BUSINESSES, past, middle, late, sum(one.calls for one in rounds) / seconds)

    async def call(self, calls: int) -> list[Round]:
        """Call so many leads of businesses in turn."""
        count = calls // SLOTS
        chosen = [self._requests[(self._next + n) % len(self._requests)] for n in range(min(count, len(self._requests)))]
        self._next += len(chosen)
        rounds = [Round(Attempts(self._pool), self._incarnation, {r.business_id: r for r in chosen[n::CLAIMERS]}) for n in range(CLAIMERS)]
        await asyncio.gather(*(one.run(calls // CLAIMERS) for one in rounds))
        return rounds
