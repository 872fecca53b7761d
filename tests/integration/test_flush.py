"""What has been answered has been written: PostgreSQL loses all that is only in its memory, and nothing is missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from dialer.model import AttemptState
from ringmaster.local.postgres import Postgres, Stop
from sql.migrate import migrate
from sql.outbox.outbox import Outbox
from sql.pool import open_pool
from tests.rows import DatabaseFixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sql.attempts.attempts import ClaimedAttempt

# Nobody writes the log in the background: what nobody has waited for is lost.
LAZY = {"wal_writer_delay": "10s", "bgwriter_lru_maxpages": "0"}


@pytest_asyncio.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[Postgres]:
    """A server of this test's own, to be crashed."""
    server = Postgres(tmp_path / "postgres", settings=LAZY)
    await server.start()
    await migrate(server.url)
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def database(postgres: Postgres) -> AsyncIterator[DatabaseFixture]:
    """A worker that owns all of it."""
    pool = await open_pool(postgres.url, name="test", size=2)
    yield await DatabaseFixture(pool).open()
    pool._pool.terminate()


async def states(postgres: Postgres, attempts: list[ClaimedAttempt]) -> list[AttemptState]:
    """What the log says after a crash."""
    await postgres.restart(Stop.IMMEDIATE)
    pool = await open_pool(postgres.url, name="test", size=1)
    try:
        return [attempt.state for attempt in await DatabaseFixture(pool).attempts.states([(i.business_id, i.attempt_id) for i in attempts])]
    finally:
        await pool.close()


async def test_a_claim(postgres: Postgres, database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 3)
    attempts, _ = await database.claim(business)
    assert await states(postgres, attempts) == [AttemptState.PLACING] * 3


async def test_a_fact(postgres: Postgres, database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 3)
    attempts, _ = await database.claim(business)
    await database.record(attempts[0], AttemptState.OVER, outcome="busy")
    assert await states(postgres, attempts[:1]) == [AttemptState.OVER]


async def test_an_event(postgres: Postgres, database: DatabaseFixture) -> None:
    business = await database.business()
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = off")
        await connection.execute("INSERT INTO dialer.outbox (business_id, type, data) VALUES ($1, 'run.finished', '{}')", business)
    events = await Outbox(database.pool).next(10)
    await postgres.restart(Stop.IMMEDIATE)
    pool = await open_pool(postgres.url, name="test", size=1)
    kept = await Outbox(pool).next(10)
    await pool.close()
    assert [event.serial for event in kept] == [event.serial for event in events]
    assert "run.finished" in {event.type for event in kept}
