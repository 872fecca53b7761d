"""Through PgBouncer, in both of its modes: statements, migrations, durability, and which time-outs are in force."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from dialer.model import AttemptState
from ringmaster.local.postgres import Postgres, Stop
from sql.errors import DatabaseUnavailableError
from sql.guards import GUARDS, missing_guards, report_guards
from sql.migrate import migrate, report
from sql.pool import open_pool
from sql.statements import statements
from tests.chaos.polling import until
from tests.integration.test_flush import LAZY, WAIT_SECONDS
from tests.pgbouncer import Mode, pooled
from tests.rows import DatabaseFixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# As poolers are told to behave with drivers that ask for more than they pass on.
IGNORED = "ignore_startup_parameters = extra_float_digits,jit,lock_timeout,statement_timeout,idle_in_transaction_session_timeout,\
default_transaction_isolation"


@pytest_asyncio.fixture
async def database(pooled_url: str) -> AsyncIterator[DatabaseFixture]:
    """A worker that owns all of it, through the pooler."""
    async with await open_pool(pooled_url, name="test", size=8, planned=True) as pool:
        yield await DatabaseFixture(pool).open()


@pytest_asyncio.fixture(
    params=[(mode, more) for mode in Mode for more in ("", IGNORED)], ids=lambda param: f"{param[0]}{'-ignoring' if param[1] else ''}"
)
async def pooled_url(request: pytest.FixtureRequest, empty_database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database through PgBouncer as it is delivered, or told to ignore what it does not pass on; migrated through it."""
    mode, more = request.param
    async with pooled(empty_database_url, mode, tmp_path / "pgbouncer", more=more) as url:
        await migrate(url)
        yield url


async def test_what_many_do_at_once_adds_up(database: DatabaseFixture, pooled_url: str, empty_database_url: str) -> None:
    businesses = [await database.business() for _ in range(4)]
    runs = {business: await database.run(business, 9) for business in businesses}
    for _ in range(3):
        await asyncio.gather(*(_call_three(database, business) for business in businesses))
    for business, run in runs.items():
        assert (await database.checked_run(business, run)).completed == 9
    assert (await report(pooled_url)).up_to_date
    direct = await asyncpg.connect(empty_database_url)
    try:
        locks = (
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE l.locktype = 'advisory' AND d.datname = current_database()"
        )
        assert await direct.fetchval(locks) == 0
    finally:
        await direct.close()


async def _call_three(database: DatabaseFixture, business: int) -> None:
    attempts, _ = await database.claim(business)
    assert len(attempts) == 3
    for attempt in attempts:
        assert (await database.record(attempt, AttemptState.OVER, outcome="completed")).state is AttemptState.OVER


async def test_a_time_out_that_is_off_is_said_with_its_remedy(
    database: DatabaseFixture, pooled_url: str, empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    missing = await missing_guards(database.pool)
    assert set(missing) == set(GUARDS)
    await report_guards(database.pool)
    assert all(remedy in caplog.text for remedy in missing.values())
    for remedy in missing.values():
        await database.pool.execute(remedy)
    await database.pool.close()
    direct = await asyncpg.connect(empty_database_url)
    # As PgBouncer's RECONNECT does.
    await direct.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await direct.close()

    async def all_there() -> bool:
        try:
            async with await open_pool(pooled_url, name="test", size=1) as pool:
                return await missing_guards(pool) == {}
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DatabaseUnavailableError):
            return False

    await until(all_there, WAIT_SECONDS, "the time-outs of the role are in force")


async def test_a_direct_connection_has_every_time_out(database_url: str) -> None:
    async with await open_pool(database_url, name="test", size=1) as pool:
        assert await missing_guards(pool) == {}


async def test_a_fact_lost_in_a_crash_is_not_answered_although_the_pooler_is_connected_again(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", settings=LAZY)
    await server.start()
    try:
        async with pooled(server.url, Mode.TRANSACTION, tmp_path / "pgbouncer", more="server_login_retry = 1") as url:
            await migrate(url)
            async with await open_pool(url, name="test", size=2) as pool:
                await _lose_a_fact(server, await DatabaseFixture(pool).open())
    finally:
        await server.stop()


async def _lose_a_fact(server: Postgres, database: DatabaseFixture) -> None:
    """Record a fact, crash the server between commit and flush, flush in the server's next life, and record again."""
    business = await database.business()
    await database.run(business, 1)
    [attempt], _ = await database.claim(business)
    fact = {"business_id": business, "attempt_id": attempt.attempt_id, "nonce": attempt.nonce, "state": "over", "outcome": "busy"}
    async with database.pool.writing() as (connection, flush):
        await connection.fetch(statements("attempts")["record"], [fact])
        await server.restart(Stop.IMMEDIATE)

        async def is_refused() -> bool:
            try:
                await flush()
            except DatabaseUnavailableError:
                return True
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                # The pooler hands on the end of the session that it had, once.
                return False
            pytest.fail("the flush has succeeded, and the fact is lost")

        await until(is_refused, WAIT_SECONDS, "the flush is refused")
    [open_attempt] = await database.attempts.states([(business, attempt.attempt_id)])
    assert open_attempt.state is AttemptState.PLACING
    assert (await database.record(attempt, AttemptState.OVER, outcome="busy")).state is AttemptState.OVER
