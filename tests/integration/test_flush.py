"""What has been answered has been written: PostgreSQL loses all that is only in its memory, and nothing is missed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import asyncpg
import pytest_asyncio

from actors.dispatch.rate_limiter import RateLimiter
from dialer.model import AttemptState
from ringmaster.local.postgres import Postgres, Stop
from sql.attempts.attempts import Fact
from sql.attempts.fact_writer import FactWriter
from sql.attempts.verdicts import VerdictCode
from sql.migrate import migrate
from sql.outbox.outbox import Outbox
from sql.pool import FLUSH, open_pool
from tests.chaos.polling import until
from tests.integration.test_dispatcher import Answers, owned, request_for
from tests.integration.test_worker import Floor
from tests.rows import DatabaseFixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sql.attempts.attempts import ClaimedAttempt

# Nobody writes the log in the background: what nobody has waited for is lost.
WAIT_SECONDS = 30.0
LAZY = {"wal_writer_delay": "10s", "bgwriter_lru_maxpages": "0"}
# Without these a commit waits for no standby.
REPLICATED = {"wal_level": "replica", "max_wal_senders": "1"}


@pytest_asyncio.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[Postgres]:
    """A server of this test's own, to be crashed."""
    server = Postgres(tmp_path / "postgres", settings={**LAZY, **REPLICATED})
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


async def test_the_next_fact_is_written_while_the_one_before_is_flushed_and_none_is_answered_before(
    postgres: Postgres, database: DatabaseFixture
) -> None:
    business = await database.business()
    await database.run(business, 3)
    attempts, _ = await database.claim(business, permits=2)
    async with FactWriter(database.attempts, patience_seconds=60) as writer:
        await wait_for_standby(postgres, "nobody")
        recorded = []
        for n, attempt in enumerate(attempts, start=1):
            fact = Fact(business, attempt.attempt_id, attempt.nonce, AttemptState.OVER, outcome="busy")
            recorded.append(asyncio.ensure_future(writer.record(fact)))
            await until(lambda n=n: are_flushed(postgres, n, "over"), WAIT_SECONDS, f"{n} facts are being flushed")  # type: ignore[misc]
        assert not any(one.done() for one in recorded)
        await wait_for_standby(postgres, "")
        results = await asyncio.gather(*recorded)
    assert {result.state for result in results} == {AttemptState.OVER}


async def test_the_next_claim_is_made_while_the_one_before_is_flushed_and_none_is_answered_before(
    postgres: Postgres, database: DatabaseFixture, redis_url: str
) -> None:
    async with AsyncExitStack() as stack:
        await database.workers.leave(database.incarnation)
        services, epochs = await owned(Floor(database, postgres.url, redis_url, stack))
        businesses = [await database.business() for _ in range(2)]
        for business in businesses:
            await database.run(business, 1)
        answers = Answers(services, RateLimiter(services, "AC1"))
        await wait_for_standby(postgres, "nobody")
        for n, business in enumerate(businesses, start=1):
            answers.dispatcher.enqueue(await request_for(database, epochs, business))
            await until(lambda n=n: are_flushed(postgres, n, "placing"), WAIT_SECONDS, f"{n} claims are being flushed")  # type: ignore[misc]
        assert answers.codes == {}
        await wait_for_standby(postgres, "")
        assert [await answers.code(business) for business in businesses] == [VerdictCode.TAKEN] * 2
        await answers.close()


async def wait_for_standby(postgres: Postgres, name: str) -> None:
    """Let each flush wait for a standby of this name, "" for none; return when it holds."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    await connection.execute("SELECT pg_reload_conf()")

    async def holds() -> bool:
        try:
            await asyncio.wait_for(connection.execute(FLUSH), 0.2)
        except TimeoutError:
            return bool(name)
        return not name

    await until(holds, WAIT_SECONDS, "the setting holds")
    await connection.close()


async def are_flushed(postgres: Postgres, count: int, state: str) -> bool:
    """Whether so many attempts are in this state, committed, and as many sessions wait for a flush, besides a relay of events perhaps."""
    connection = await asyncpg.connect(postgres.url)
    try:
        flushes = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        attempts = await connection.fetchval("SELECT count(*) FROM dialer.attempts WHERE state = $1", state)
        return bool(flushes >= count == attempts)
    finally:
        await connection.close()


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
