"""Migrations: once each, from many processes at once, and never quietly another one than was applied."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import asyncpg
import pytest

from dialer.model import JOB_AFTER, RANK
from ringmaster.errors import CommandError
from ringmaster.installation import prepare
from sql.migrate import ChangedMigrationError, migrate, report, steps
from sql.pool import open_pool

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture


async def run(database_url: str, sentence: str, *values: object) -> object:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(sentence, *values)
    finally:
        await connection.close()


async def test_once_and_then_nothing(empty_database_url: str) -> None:
    assert (await report(empty_database_url)).pending == tuple(step.name for step in steps())
    assert await migrate(empty_database_url) == [step.name for step in steps()]
    assert await migrate(empty_database_url) == []
    assert (await report(empty_database_url)).up_to_date


async def test_a_process_may_connect_before_the_first_migration(empty_database_url: str) -> None:
    pool = await open_pool(empty_database_url, name="early", size=1, planned=True)
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


async def test_from_many_processes_at_once(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(len(names) for names in applied) == [0, 0, 0, len(steps())]


async def test_a_changed_migration_is_refused(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    await run(empty_database_url, "UPDATE dialer.schema_migrations SET checksum = 'other' WHERE name = '0001_baseline'")
    with pytest.raises(ChangedMigrationError, match="0001_baseline"):
        await migrate(empty_database_url)
    with pytest.raises(CommandError, match="start with an empty DIALER_DATA_DIR"):
        await prepare(empty_database_url)
    assert (await report(empty_database_url)).changed == ("0001_baseline",)


async def test_a_changed_function_is_applied_again(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    await run(empty_database_url, "UPDATE dialer.schema_migrations SET checksum = 'other' WHERE name = 'claim_v1'")
    assert await migrate(empty_database_url) == ["claim_v1"]


async def test_a_step_that_fails_is_rolled_back_and_the_rest_can_follow(empty_database_url: str) -> None:
    await run(empty_database_url, "CREATE SCHEMA dialer")
    await run(empty_database_url, "CREATE TABLE dialer.sessions (something text)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty_database_url)
    assert await run(empty_database_url, "SELECT to_regclass('dialer.businesses') IS NULL")
    await run(empty_database_url, "DROP TABLE dialer.sessions")
    assert await migrate(empty_database_url) == [step.name for step in steps()]


@pytest.mark.parametrize(("before", "code"), [(False, 1), (True, 0)])
async def test_check_says_by_its_exit_code(empty_database_url: str, *, before: bool, code: int) -> None:
    if before:
        await migrate(empty_database_url)
    environment = {"DATABASE_URL": empty_database_url}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "sql", "check", env=environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert (process.returncode, b"pending" in output) == (code, not before)


async def test_the_words_of_the_model_and_of_the_functions_are_the_same(database: DatabaseFixture) -> None:
    for state, rank in RANK.items():
        assert await database.pool.fetchval("SELECT dialer.rank_of($1)", state) == rank
        assert await database.pool.fetchval("SELECT dialer.is_open($1)", state) == state.open
    for outcome, status in JOB_AFTER.items():
        assert await database.pool.fetchval("SELECT dialer.job_after($1)", outcome) == status
