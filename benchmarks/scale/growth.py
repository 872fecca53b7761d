"""The cost of claims and records as jobs, runs and calls of the past grow in number, and while an open transaction blocks VACUUM.

Each is compared with a control in a database beside it: a part of the calls in one, then in the other.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg

from benchmarks.queue import LOADED_TABLES, RULES
from benchmarks.rounds import SLOTS, Round
from ringmaster.local.postgres import Postgres
from sql.attempts.attempts import Attempts, ClaimRequest
from sql.businesses.businesses import Businesses
from sql.migrate import migrate
from sql.pool import open_pool
from sql.workers.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from sql.pool import Pool

BUSINESSES = 1_000
PARTITIONS = 256
CLAIMERS = 2
WARM_UP_CALLS = BUSINESSES * SLOTS  # of each business once: images of pages that a checkpoint asks for are written by then
CALLS = 6_000  # measured in each round, of both claimers together
PARTS = 10  # of a round, in turns with the other databases
SNAPSHOT_CALLS = 20_000
ROWS_A_STATEMENT = 500_000
JOBS_OF_NO_COPY = 200_000
SETTINGS = {"max_wal_size": "8GB"}  # while a database is filled; a checkpoint comes before each round

RUNS = """INSERT INTO public.outbound_call_runs (business_id, name, status, concurrency, total_leads, queued_count, started_at)
    SELECT b, 'bench', 'running', $3, $4, $4, now() AT TIME ZONE 'UTC'
    FROM generate_series(1, $2::integer) n, generate_series(1, $1::integer) b ORDER BY n, b"""
ZONES = """INSERT INTO dialer.run_zones (business_id, run_id, zone, first_position, last_position, next_position, opens_at, closes_at)
    SELECT r.business_id, r.id, 'US:UTC', 1, r.total_leads, 1, '-infinity', 'infinity' FROM public.outbound_call_runs r ORDER BY r.id"""
JOBS = """INSERT INTO public.outbound_call_jobs (run_id, lead_id, business_id, position, phone)
    SELECT r.id, p, r.business_id, p,
           '+1' || lpad((r.business_id - 1)::text, 4, '0') || lpad(((r.id - 1) / $3::integer * r.total_leads + p)::text, 6, '0')
    FROM (SELECT * FROM public.outbound_call_runs WHERE id BETWEEN $1 AND $2 ORDER BY id) r, generate_series(1, r.total_leads) p"""
INDEXES = """SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid = 'dialer.attempts'::regclass AND NOT indisunique"""
PAST = (
    """INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, account_sid, ring_seconds,
                                    created_at, send_by, ended_at, sid, outcome, duration)
    SELECT 1 + n % $3::integer, 0, 0, 'over', gen_random_uuid(), gen_random_uuid(),
           '+1' || lpad((n % $3::integer)::text, 4, '0') || lpad((1 + n / $3::integer)::text, 6, '0'),
           '+12025550100', 'AC', 30, t.at, t.at, t.at, 'CB' || lpad(n::text, 32, '0'), 'completed', 1
    FROM generate_series($1::integer, $2::integer - 1) n
    CROSS JOIN LATERAL (SELECT now() - interval '60 days' + n * (interval '58 days' / $4::integer) AS at) t""",
    """INSERT INTO dialer.call_sids (sid, business_id, attempt_id, seen_at)
    SELECT 'CB' || lpad(n::text, 32, '0'), 1 + n % $3::integer, 1 + n,
           now() - interval '60 days' + n * (interval '58 days' / $4::integer)
    FROM generate_series($1::integer, $2::integer - 1) n""",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is in a database: `jobs` over all businesses in `runs` of each, and so many calls of the `past`; with `rules`, all are on."""

    label: str
    jobs: int
    runs: int = 1
    past: int = 0
    rules: bool = False
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A shape beside its control: a claim of as many leads as one takes and calls a second, medians of the rounds.

    `times` is the claim as a multiple of the control's, `each_times` those of the rounds; the control itself has none.
    """

    kind: str
    label: str
    jobs: int
    runs: int
    past: int
    fill_seconds: float
    claim_p50_ms: float
    claim_p99_ms: float
    calls_a_second: float
    times: float
    each_times: list[float]


@dataclass(slots=True)
class Figures:
    """What one round of a database took."""

    claim_ms: list[float] = field(default_factory=list)
    calls: int = 0
    seconds: float = 0.0

    def claim(self, share: float) -> float:
        """The milliseconds of a claim that this share of them does not exceed."""
        return sorted(self.claim_ms)[int(len(self.claim_ms) * share)]


def groups(sizes: Sequence[int], runs: Sequence[int], past: int) -> dict[str, list[Shape]]:
    """The shapes that are compared, by what grows: the first is the control."""
    first = Shape(f"{sizes[0]:,} jobs", sizes[0])
    found = {
        "jobs": [first, *(Shape(f"{size:,} jobs", size) for size in sizes[1:])],
        "runs": [first, *(Shape(f"{n} runs of a business", sizes[0] * n, runs=n) for n in runs if n > 1)],
        "past": [
            Shape("all rules, no calls of the past", JOBS_OF_NO_COPY, rules=True),
            *([Shape(f"all rules, {past:,} calls of the past", JOBS_OF_NO_COPY, past=past, rules=True)] if past else []),
        ],
        "snapshot": [first, Shape(f"{SNAPSHOT_CALLS:,} calls after a snapshot was pinned", 4 * SNAPSHOT_CALLS, pinned=True)],
    }
    return {kind: shapes for kind, shapes in found.items() if len(shapes) > 1}


async def measure(sizes: Sequence[int], runs: Sequence[int], past: int, rounds: int) -> AsyncIterator[Stage]:
    """Measure each shape and its control in turns, `rounds` times; yield a stage for each when its kind is measured."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ringmaster-bench-")))
        server = Postgres(folder / "postgres", settings=SETTINGS)
        await server.start()
        stack.push_async_callback(server.stop)
        for kind, shapes in groups(sizes, runs, past).items():
            databases = [await Database.fill(server.url, shape) for shape in shapes]
            figures = [await _round(databases) for _ in range(rounds)]
            for n, database in enumerate(databases):
                yield _stage(kind, database, [row[n] for row in figures], [row[0] for row in figures] if n else [])
                await database.drop()


async def _round(databases: Sequence[Database]) -> list[Figures]:
    """Call a part in each database in turn, the last first every other time."""
    figures = [Figures() for _ in databases]
    async with AsyncExitStack() as stack:
        queues = [await stack.enter_async_context(database.opened()) for database in databases]
        pairs = list(zip(queues, figures, strict=True))
        for n in range(PARTS):
            for queue, own in pairs[:: 1 if n % 2 else -1]:
                await queue.measure(CALLS // PARTS, own)
    return figures


def _stage(kind: str, database: Database, figures: Sequence[Figures], controls: Sequence[Figures]) -> Stage:
    times = [one.claim(0.5) / other.claim(0.5) for one, other in zip(figures, controls, strict=False)]
    return Stage(
        kind,
        database.shape.label,
        database.shape.jobs,
        database.shape.runs,
        database.shape.past,
        database.fill_seconds,
        median(one.claim(0.5) for one in figures),
        median(one.claim(0.99) for one in figures),
        median(one.calls / one.seconds for one in figures),
        median(times or [1.0]),
        times,
    )


class Database:
    """A database of one shape. One that a few rounds would use up is copied for each."""

    def __init__(self, server_url: str, shape: Shape) -> None:
        self._server_url = server_url
        self._name = _name(shape)
        self.shape = shape
        self.fill_seconds = 0.0

    @classmethod
    async def fill(cls, server_url: str, shape: Shape) -> Database:
        """Make a database, and fill it by SQL."""
        started_at = time.perf_counter()
        one = cls(server_url, shape)
        await one._control(f'CREATE DATABASE "{one._name}"')
        url = one._url(one._name)
        await migrate(url)
        async with await open_pool(url, name="bench", size=1) as pool:
            for _ in range(BUSINESSES):
                await Businesses(pool).create(name="Bench", caller_id="+12025550100", region="US", timezone="UTC", max_calls=SLOTS)
        connection = await asyncpg.connect(url)  # the pool's statements time out
        try:
            await _fill(connection, shape)
        finally:
            await connection.close()
        one.fill_seconds = time.perf_counter() - started_at
        return one

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[_Queue]:
        """Call each business once to warm up, and yield its queue."""
        async with AsyncExitStack() as stack:
            name = self._name
            if self.shape.jobs < JOBS_OF_NO_COPY:
                name = f"{self._name} copy"
                await self._control(f'CREATE DATABASE "{name}" TEMPLATE "{self._name}"')
                stack.push_async_callback(self._control, f'DROP DATABASE "{name}" WITH (FORCE)')
            await self._control("CHECKPOINT")
            url = self._url(name)
            if self.shape.pinned:
                snapshot = await asyncpg.connect(url, server_settings={"idle_in_transaction_session_timeout": "0"})
                stack.push_async_callback(snapshot.close)
                await snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                await snapshot.fetchval("SELECT count(*) FROM dialer.businesses")
            pool = await stack.enter_async_context(await open_pool(url, name="bench", size=2 * CLAIMERS + 2))
            queue = _Queue(pool)
            await queue.join()
            stack.push_async_callback(queue.leave)
            await queue.call(WARM_UP_CALLS + (SNAPSHOT_CALLS if self.shape.pinned else 0))
            yield queue

    async def drop(self) -> None:
        """Remove it."""
        await self._control(f'DROP DATABASE "{self._name}" WITH (FORCE)')

    def _url(self, name: str) -> str:
        return f"{self._server_url.rpartition('/')[0]}/{name.replace(' ', '%20')}"

    async def _control(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _name(shape: Shape) -> str:
    return f"{shape.jobs} jobs {shape.runs} runs {shape.past} past{' rules' * shape.rules}{' pinned' * shape.pinned}"


async def _fill(connection: asyncpg.Connection[asyncpg.Record], shape: Shape) -> None:
    leads = shape.jobs // BUSINESSES // shape.runs
    await connection.execute("SET session_replication_role = replica")  # no look-up of the run for each of its jobs
    await connection.execute(RUNS, BUSINESSES, shape.runs, SLOTS, leads)
    await connection.execute(ZONES)
    step = max(ROWS_A_STATEMENT // leads, 1)
    for first in range(1, BUSINESSES * shape.runs + 1, step):
        await connection.execute(JOBS, first, first + step - 1, BUSINESSES)
    if shape.rules:
        for statement in RULES:
            await connection.execute(statement)
    if shape.past:
        await _fill_past(connection, shape.past)
    tables = LOADED_TABLES + (", dialer.registers" if shape.rules else "") + (", dialer.attempts, dialer.call_sids" if shape.past else "")
    await connection.execute(f"VACUUM ANALYZE {tables}")


async def _fill_past(connection: asyncpg.Connection[asyncpg.Record], past: int) -> None:
    indexes = await connection.fetch(INDEXES)
    for index in indexes:  # sorted at the end: row by row they would be written at random places
        await connection.execute(f"DROP INDEX {index['name']}")
    for first in range(0, past, ROWS_A_STATEMENT):
        for statement in PAST:
            await connection.execute(statement, first, min(first + ROWS_A_STATEMENT, past), BUSINESSES, past)
    await connection.execute("SET maintenance_work_mem = '512MB'")
    for index in indexes:
        await connection.execute(index["definition"])


class _Queue:
    """The businesses of a database, and the worker that owns them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._incarnation: UUID = uuid4()
        self._requests: list[ClaimRequest] = []
        self._next = 0

    async def join(self) -> None:
        """Own every partition."""
        workers = Workers(self._pool)
        await workers.join(self._incarnation, "bench", 24 * 3600)
        epochs = await workers.take_over(self._incarnation, list(range(PARTITIONS)))
        lanes = await self._pool.fetch("SELECT business_id, partition FROM dialer.lanes ORDER BY business_id")
        self._requests = [ClaimRequest(row["business_id"], epochs[row["partition"]], SLOTS) for row in lanes]

    async def leave(self) -> None:
        """Own none any more."""
        await Workers(self._pool).leave(self._incarnation)

    async def measure(self, calls: int, figures: Figures) -> None:
        """Call so many leads, and add what that took."""
        started_at = time.perf_counter()
        rounds = await self.call(calls)
        figures.seconds += time.perf_counter() - started_at
        figures.calls += sum(one.calls for one in rounds)
        figures.claim_ms += [ms for one in rounds for ms in one.claim_ms]

    async def call(self, calls: int) -> list[Round]:
        """Call so many leads of businesses in turn."""
        count = calls // SLOTS
        chosen = [self._requests[(self._next + n) % len(self._requests)] for n in range(min(count, len(self._requests)))]
        self._next += len(chosen)
        rounds = [Round(Attempts(self._pool), self._incarnation, {r.business_id: r for r in chosen[n::CLAIMERS]}) for n in range(CLAIMERS)]
        await asyncio.gather(*(one.run(calls // CLAIMERS) for one in rounds))
        return rounds
