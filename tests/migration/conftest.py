"""Databases of the old application, made once and copied for each test."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest_asyncio

from sql.migrate import migrate
from sql.pool import open_pool
from telephony import simulator
from tests.migration.old_database import VARIANTS, OldApplication, make
from tests.rows import DatabaseFixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from ringmaster.local.postgres import Postgres

ADOPTED = "adopted"


async def administer(postgres: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(address(postgres, "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def address(postgres: Postgres, name: str) -> str:
    return urlsplit(postgres.url)._replace(path=f"/{name}").geturl()


async def copied(postgres: Postgres, template: str) -> AsyncIterator[str]:
    name = f"old_{uuid4().hex}"
    await administer(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    yield address(postgres, name)
    await administer(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


async def adopt_businesses(database_url: str) -> Any:  # noqa: ANN401 - what the command prints
    """Run `python -m dialer business adopt`, with the account of the simulator."""
    account = {"TWILIO_ACCOUNT_SID": simulator.TEST_ACCOUNT, "TWILIO_AUTH_TOKEN": simulator.TEST_TOKEN}
    command = (sys.executable, "-m", "dialer", "business", "adopt", "--from-public", "--json")
    environment = {**os.environ, "DATABASE_URL": database_url, **account}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=VARIANTS)
async def dirty(request: pytest.FixtureRequest, postgres: Postgres) -> str:
    """A template of each variant with every kind of dirt."""
    name = f"dirty_{request.param}"
    await administer(postgres, f'CREATE DATABASE "{name}"')
    await make(address(postgres, name), request.param, "filled", "dirty")
    return name


@pytest_asyncio.fixture
async def dirty_url(postgres: Postgres, dirty: str) -> AsyncIterator[str]:
    """A database of the old application with every kind of dirt."""
    async for url in copied(postgres, dirty):
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def adopted(postgres: Postgres) -> str:
    """A template: an adopted database with every kind of dirt, whose businesses are adopted too, without rules of calling."""
    await administer(postgres, f'CREATE DATABASE "{ADOPTED}"')
    url = address(postgres, ADOPTED)
    await make(url, "by_an_orm", "filled", "dirty")
    await migrate(url)
    found = await adopt_businesses(url)
    assert [one["business_id"] for one in found["adopted"]] == [1, 2]
    assert [one["business_id"] for one in found["rejected"]] == [3]
    async with await open_pool(url, name="test", size=1) as pool:
        await pool.execute("UPDATE dialer.businesses SET calling_hours = NULL, min_gap_hours = 0, max_per_day = NULL")
        await pool.execute("SELECT dialer.reset_windows_v1(business_id, NULL) FROM dialer.lanes")
        # Calls in doubt hold slots of their business and of their run.
        await pool.execute("UPDATE outbound_call_runs SET concurrency = 50")
        await pool.execute("UPDATE dialer.lanes SET max_calls = 50, cap = 50")
    return ADOPTED


@pytest_asyncio.fixture
async def adopted_url(postgres: Postgres, adopted: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A copy of it."""
    monkeypatch.setattr("sql.pool.PLANNED", ())
    async for url in copied(postgres, adopted):
        yield url


@pytest_asyncio.fixture
async def database(adopted_url: str) -> AsyncIterator[DatabaseFixture]:
    """The same, with a worker that owns all of it."""
    async with await open_pool(adopted_url, name="test", size=8) as pool:
        yield await DatabaseFixture(pool).open()


@pytest_asyncio.fixture
async def old(adopted_url: str) -> AsyncIterator[OldApplication]:
    """The old application, on that database."""
    connection = await asyncpg.connect(adopted_url)
    try:
        yield OldApplication(connection)
    finally:
        await connection.close()
