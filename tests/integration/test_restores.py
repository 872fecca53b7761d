"""A dump that is loaded again, and a copy that shows nothing: no lead is taken before the calls are compared."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg

from ringmaster.local.postgres import program
from sql.pool import open_pool
from tests.integration.test_cli_accounts import command
from tests.rows import DatabaseFixture

if TYPE_CHECKING:
    from pathlib import Path

TOOL_SECONDS = 60.0
IDS = "SELECT last_value FROM dialer.attempts_id_seq"


async def tool(name: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(program(name), *arguments, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(TOOL_SECONDS):
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()


async def replace_database(url: str) -> None:
    """Drop the database, and make an empty one of the same name on the same server."""
    name = urlsplit(url).path[1:]
    connection = await asyncpg.connect(urlsplit(url)._replace(path="/postgres").geturl())
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()


async def test_a_dump_that_is_loaded_into_the_same_server_is_noticed(database_url: str, tmp_path: Path) -> None:
    async with await open_pool(database_url, name="test", size=2) as pool:
        database = await DatabaseFixture(pool).open()
        business = await database.business()
        await database.run(business, 3)
        await tool("pg_dump", "--format=custom", "--file", str(tmp_path / "dump"), database_url)
        # A call that the dump does not have.
        [lost], _ = await database.claim(business, permits=1)
    await replace_database(database_url)
    await tool("pg_restore", "--no-owner", "--exit-on-error", "--dbname", database_url, str(tmp_path / "dump"))
    async with await open_pool(database_url, name="test", size=2) as pool:
        await pool.execute("UPDATE dialer.workers SET lease_until = now()")
        database = await DatabaseFixture(pool).open()
        _, verdicts = await database.claim(business)
        assert verdicts[business].code == "unlisted"
        assert await pool.fetchval(IDS) > lost.attempt_id + 1e9 - 1, "the id of the lost attempt is not given again"
        assert (await command(database_url, "migrate", interpreter=("-m", "sql"))).out == "the schema is up to date\n"


async def test_a_copy_that_shows_nothing_is_told_of(database: DatabaseFixture, database_url: str) -> None:
    business = await database.business()
    await database.run(business, 1)
    assert (await database.claim(business, permits=0))[1][business].code != "unlisted"
    assert (await command(database_url, "restored", "--by", "Dana", "--json")).json == {"noted": True}
    assert (await database.claim(business))[1][business].code == "unlisted"
    assert await database.pool.fetchval("SELECT actor FROM dialer.audit_log WHERE action = 'restored'") == "cli:Dana"
