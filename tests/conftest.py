"""The servers of the tests: one PostgreSQL and one Valkey for each session, a fresh database of each for every test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
import redis.asyncio
from xdist.scheduler.loadscope import LoadScopeScheduling  # type: ignore[import-untyped]

from ringmaster.local.postgres import Postgres
from ringmaster.local.valkey import Valkey
from tests.least_privilege import as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.rows import DatabaseFixture

MAINTENANCE = "postgres"
# The tests of whole processes run one after the other in two rows: those that measure, and the others. Those of the house stay together,
# so that only one process parses our source. `make matrix` has two rows that take about as long.
ROWS = {
    "tests/chaos/": "chaos",
    "tests/house/": "house",
    "tests/platforms/": "platforms",
    **dict.fromkeys((f"tests/platforms/test_{name}.py" for name in ("failover", "faults", "main_job", "restore")), "more platforms"),
    **dict.fromkeys((f"tests/chaos/test_{name}.py" for name in ("cancel", "isolation", "rules", "workers")), "measured"),
}
TEMPLATE = "migrated"
ROOM_IN_MEMORY_BYTES = 2 << 30  # several times the use of a session
REDIS_DATABASES = 64  # used in turn: a client that a test leaves blocked does not wake in the next test

_numbers = itertools.count(1)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Sends the tests of a row to one process of the test run, where they run one after the other.

    xdist's own `loadgroup` has no effect with pytest 9.2: it writes its groups into the ids of tests, which pytest does not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return ROWS.get(path) or ROWS.get(path[: path.rfind("/") + 1]) or nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:  # noqa: ANN401 xdist's producer of log lines
    """How tests are shared by the processes of a test run."""
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """The directory of the servers of this session, in memory when there is room; removed after it."""
    with tempfile.TemporaryDirectory(prefix="ringmaster-tests-", dir=_in_memory()) as path:
        yield Path(path)


def _in_memory() -> Path | None:
    """A file system in memory: a test's database is copied there in a tenth of the time a disk takes. None when there is no room."""
    path = Path("/dev/shm")  # noqa: S108 the directory made in it is private
    return path if path.is_dir() and os.access(path, os.W_OK) and shutil.disk_usage(path).free >= ROOM_IN_MEMORY_BYTES else None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(servers_dir: Path) -> AsyncIterator[Postgres]:
    """The session's PostgreSQL, without safety from power loss, for speed."""
    server = Postgres(servers_dir / "postgres", fast=True)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey(servers_dir: Path) -> AsyncIterator[Valkey]:
    """The session's Valkey."""
    server = Valkey(servers_dir / "valkey", databases=REDIS_DATABASES)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated(postgres: Postgres) -> str:
    """The name of a database with all migrations applied, a template to copy."""
    from sql.migrate import migrate  # noqa: PLC0415 only the tests that need a schema wait for it

    await _administer(postgres, f'CREATE DATABASE "{TEMPLATE}"')
    await migrate(_address(postgres, TEMPLATE))
    return TEMPLATE


@pytest_asyncio.fixture
async def database_url(postgres: Postgres, migrated: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A database for this test, with the schema and no rows.

    The connections of this process do not plan claim and record in advance: that pays off after some hundred calls.
    """
    monkeypatch.setattr("sql.pool.PLANNED", ())
    async for url in _database(postgres, migrated):
        yield await as_role(url) if os.environ.get("LEAST_PRIVILEGE") else url


@pytest_asyncio.fixture
async def empty_database_url(postgres: Postgres) -> AsyncIterator[str]:
    """A database for this test without a schema, to test the migrations."""
    async for url in _database(postgres, "template1"):
        yield url


@pytest_asyncio.fixture
async def redis_url(valkey: Valkey) -> AsyncIterator[str]:
    """An empty Valkey database for this test."""
    if not valkey.alive:  # an earlier test killed it
        await valkey.start()
    url = f"{valkey.url.removesuffix('/0')}/{next(_numbers) % REDIS_DATABASES}"
    async with redis.asyncio.from_url(url) as client:
        await client.flushdb()
    yield url


async def _database(postgres: Postgres, template: str) -> AsyncIterator[str]:
    if not postgres.alive:  # an earlier test killed it
        await postgres.start()
    name = f"test_{next(_numbers)}"
    await _administer(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    yield _address(postgres, name)
    if postgres.alive:
        await _administer(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _administer(postgres: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(_address(postgres, MAINTENANCE))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _address(postgres: Postgres, name: str) -> str:
    return urlsplit(postgres.url)._replace(path=f"/{name}").geturl()


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[DatabaseFixture]:
    """A migrated database with a worker that owns all of it."""
    from sql.pool import open_pool  # noqa: PLC0415 only the tests that need a schema wait for it
    from tests.rows import DatabaseFixture  # noqa: PLC0415 likewise

    pool = await open_pool(database_url, name="test", size=8)
    try:
        yield await DatabaseFixture(pool).open()
    finally:
        await pool.close()
