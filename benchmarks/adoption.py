"""An old application's database adopted while that application goes on writing, and what a call costs on its tables afterwards."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg

from benchmarks import queue
from dialer.messages import Command, CommandType
from dialer.model import AttemptState
from ringmaster.local.postgres import Postgres
from sql.adoption.old_businesses import OldBusinesses
from sql.businesses.businesses import NO_RULES
from sql.commands.commands import Commands
from sql.lock_times import LockTimes
from sql.migrate import migrate
from sql.pool import open_pool
from tests.migration.old_database import OldApplication, fetchval, make
from tests.rows import DatabaseFixture

# The run of tests/migration/old/filled.sql that was not dialled.
WAITING = 2
CLAIMS = 300
BUSINESSES = 200


@dataclass(frozen=True, slots=True)
class Figures:
    """`seconds` of the migration of `jobs`; of the old application's statements beside it how many, and the longest.

    `table_lock_ms` and `row_lock_ms` are the longest locks that the migration held, with the step that held each.
    `start_seconds` is what the start of a run with half of the jobs takes; `claim_p99_ms` a claim of its leads.
    """

    jobs: int
    seconds: float
    statements: int
    longest_ms: float
    table_lock_ms: float
    table_lock_step: str
    row_lock_ms: float
    row_lock_step: str
    archived: int
    start_seconds: float
    claim_p99_ms: float


class TimedConnection:
    """Passes statements on, and remembers how long each took."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self.seconds: list[float] = []

    async def execute(self, *statement: object) -> str:
        """Run a statement."""
        return str(await self._timed("execute", statement))

    async def fetchval(self, *statement: object) -> object:
        """The first value."""
        return await self._timed("fetchval", statement)

    async def fetchrow(self, *statement: object) -> object:
        """The first row."""
        return await self._timed("fetchrow", statement)

    async def _timed(self, method: str, statement: tuple[object, ...]) -> object:
        started_at = time.perf_counter()
        try:
            return await getattr(self._connection, method)(*statement)
        finally:
            self.seconds.append(time.perf_counter() - started_at)


async def adopt(jobs: int) -> Figures:
    """Migrate a dirty database of so many jobs, with fsync on, while the old application inserts, reads, changes and deletes."""
    with TemporaryDirectory(prefix="ringmaster-bench-") as folder:
        server = Postgres(Path(folder) / "postgres")
        await server.start()
        try:
            await make(server.url, "with_defaults", "filled", "dirty", jobs=jobs)
            return await _beside(server.url, jobs)
        finally:
            await server.stop()


async def _beside(url: str, jobs: int) -> Figures:
    connection = await asyncpg.connect(url)
    try:
        timed = TimedConnection(connection)
        old = OldApplication(timed)  # type: ignore[arg-type] # it has the methods that are used
        for _ in range(20):
            await old.turn()
        timed.seconds.clear()
        started_at = time.perf_counter()
        locks = LockTimes()
        migration = asyncio.create_task(migrate(url, locks))
        while not migration.done():
            await old.turn()
        await migration
        seconds = time.perf_counter() - started_at
    finally:
        await connection.close()
    archived = await fetchval(url, "SELECT count(*) FROM dialer.legacy_archive")
    held = locks.table.seconds * 1000, locks.table.step, locks.rows.seconds * 1000, locks.rows.step
    return Figures(jobs, seconds, len(timed.seconds), max(timed.seconds) * 1000, *held, archived, *await _dial(url))


async def _dial(url: str) -> tuple[float, float]:
    """Start the run that was waiting, and claim some of its leads; return the seconds of the start, and the p99 of a claim in ms."""
    async with await open_pool(url, name="bench", size=4) as pool:
        fields = {"name": "Bench", "caller_id": "+12025550100", "region": "US", "timezone": "America/New_York"}
        await OldBusinesses(pool).adopt(1, **fields, max_calls=3, rules=NO_RULES, actor="bench")
        started_at = time.perf_counter()
        command = Command(1, f"http:{uuid4()}", CommandType.START, WAITING, requested_by="bench")
        await Commands(pool, "AC").apply(command)
        start_seconds = time.perf_counter() - started_at
        database = await DatabaseFixture(pool).open()
        claims = []
        for _ in range(CLAIMS):
            started_at = time.perf_counter()
            claimed, _ = await database.claim(1)
            claims.append((time.perf_counter() - started_at) * 1000)
            for attempt in claimed:
                await database.record(attempt, AttemptState.OVER, outcome="completed")
        return start_seconds, sorted(claims)[int(CLAIMS * 0.99)]


async def calls(leads: int) -> queue.Figures:
    """The queue alone on adopted tables, with all indexes of the old application."""
    return await queue.measure(BUSINESSES, leads, prepare=_adopted)


async def _adopted(url: str) -> None:
    await make(url, "with_defaults")
    await fetchval(url, "INSERT INTO business (name) SELECT 'Bench' FROM generate_series(1, $1::integer) RETURNING id", BUSINESSES)
    await migrate(url)
