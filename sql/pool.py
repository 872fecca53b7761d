"""Connections to PostgreSQL, with time-outs that keep one stuck session from blocking the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import asyncpg

from sql.errors import DatabaseUnavailableError, mapped
from sql.pooler import Connector
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from uuid import UUID

    Flush: TypeAlias = Callable[[], Awaitable[None]]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

LOCK_TIMEOUT_SECONDS = 2
STATEMENT_TIMEOUT_SECONDS = 15
IDLE_IN_TRANSACTION_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 10

# From asking the pool for a connection to having one; the pool may have to open it first.
ACQUIRE_SECONDS = 10.0
CONNECTIONS = 10
# A connection is replaced after this many statements, and closed after this long without one.
QUERIES_PER_CONNECTION = 50_000
IDLE_CONNECTION_SECONDS = 300.0

SESSION = {
    "default_transaction_isolation": "read committed",
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
    "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
    # Compiling the plan of a claim takes longer than running it: off gave 1.4 times the calls a second (benchmarks/queue.py).
    "jit": "off",
}

# A session plans a function when it first runs it, which takes longer than running it. Do that before it holds a lock.
PLANNED = (
    "SELECT dialer.claim_v1(gen_random_uuid(), gen_random_uuid(), '{}', '{}', '{}', 0, 0, 0, '')",
    "SELECT dialer.record_v1('[]')",
)


# Writes a WAL record, since a commit is flushed only if it has written something; returns the server's boot.
FLUSH = "SELECT b.id, pg_logical_emit_message(TRUE, 'ringmaster', '') FROM dialer.boot b"
# The database may have lost what this process has published: sql/timelines/timeline_v1.sql. Returns the server's boot.
NOTICE_TIMELINE = statements("timelines")["notice"]
CRASHED = "PostgreSQL has crashed since, and may have lost this"


def _ignore(_: float) -> None:
    """Nobody measures this pool."""


class Pool:
    """A bounded number of connections. Driver errors that a retry may cure are raised as our own (`sql/errors.py`)."""

    # The server's boot when this process last flushed.
    _boot: UUID | None = None

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], acquire_seconds: float = ACQUIRE_SECONDS, waited: Callable[[float], None] = _ignore
    ) -> None:
        """Wait for a connection of `pool` for at most `acquire_seconds`; `waited` is told how long that took, or was in vain."""
        self._pool = pool
        self._acquire_seconds = acquire_seconds
        self._waited = waited

    @property
    def connections(self) -> tuple[int, int, int]:
        """How many connections are in use, how many are open and idle, and the most there may be."""
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle, self._pool.get_max_size()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Hold a connection for the length of a block.

        Raises:
            RowLockedError, DatabaseUnavailableError: from a statement within the block, or when no connection became free in time.
        """
        with mapped():
            connection = await self._next()
            try:
                yield connection
            finally:
                await self._pool.release(connection)

    async def _next(self) -> asyncpg.pool.PoolConnectionProxy[asyncpg.Record]:
        asked_at = asyncio.get_running_loop().time()
        try:
            return await self._pool.acquire(timeout=self._acquire_seconds)
        finally:
            self._waited(asyncio.get_running_loop().time() - asked_at)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[tuple[Connection, Flush]]:
        """Hold a connection, and a function that flushes everything committed before to the disk and to synchronous standbys.

        An asynchronous commit followed by a flush is as durable as a synchronous one, since the WAL is written in order, but the row locks
        are released before the flush. Flush before placing a call or publishing anything that depends on the commit.

        Raises:
            DatabaseUnavailableError: from the flush, when the server has crashed since the block began and may have lost its commits.
        """
        async with self.acquire() as connection:
            before = self._boot = self._boot or await connection.fetchval(NOTICE_TIMELINE)

            async def flush() -> None:
                if await connection.fetchval(FLUSH) != before:
                    self._boot = await connection.fetchval(NOTICE_TIMELINE)
                    raise DatabaseUnavailableError(CRASHED)

            yield connection, flush

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """All rows."""
        async with self.acquire() as connection:
            return await connection.fetch(query, *values)

    async def fetchrow(self, query: str, *values: object) -> asyncpg.Record | None:
        """The first row, or None."""
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: object) -> Any:  # noqa: ANN401 - whatever the query returns
        """The first column of the first row, or None."""
        async with self.acquire() as connection:
            return await connection.fetchval(query, *values)

    async def execute(self, query: str, *values: object) -> str:
        """Run a statement; return its command tag."""
        async with self.acquire() as connection:
            return await connection.execute(query, *values)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()


async def open_pool(
    database_url: str,
    *,
    name: str,
    size: int = CONNECTIONS,
    planned: bool = False,
    acquire_seconds: float = ACQUIRE_SECONDS,
    waited: Callable[[float], None] = _ignore,
) -> Pool:
    """Connect at most `size` times to `database_url`; `name` is what pg_stat_activity shows, `waited` gets the time of each wait.

    With `planned`, each connection plans claim and record when it is opened; for long-lived processes.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    seconds = STATEMENT_TIMEOUT_SECONDS + LOCK_TIMEOUT_SECONDS
    pool = await connections(database_url, Connector(name, SESSION), size=size, seconds=seconds, init=_plan if planned else _prepare)
    return Pool(pool, acquire_seconds, waited)


async def connections(
    database_url: str, connector: Connector, *, size: int, seconds: float, init: Callable[[Connection], Awaitable[None]]
) -> asyncpg.Pool[asyncpg.Record]:
    """At most `size` connections that `connector` makes and `init` prepares; a statement that is not answered in `seconds` fails.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    pool: asyncpg.Pool[asyncpg.Record] = await asyncpg.create_pool(  # type: ignore[call-overload] # its stub lists every option that `connect` hands on
        database_url,
        connect=connector.connect,
        min_size=1,
        max_size=size,
        max_queries=QUERIES_PER_CONNECTION,
        max_inactive_connection_lifetime=IDLE_CONNECTION_SECONDS,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=seconds,
        init=init,
        reset=_keep,
    )
    return pool


async def _keep(_: Connection) -> None:
    """Called after each use, in place of a round trip that resets the session: no statement of ours changes it.

    A transaction that was left open is rolled back by asyncpg all the same. Settings are changed for one transaction only, since behind a
    pooler the next statement may run in another session.
    """


async def _prepare(connection: Connection) -> None:
    # Before the first migration these functions do not exist; the first statement will report that better.
    with contextlib.suppress(asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError):
        await connection.execute(NOTICE_TIMELINE)
    await read_json(connection)


async def read_json(connection: Connection) -> None:
    """Let columns of JSON be Python's values."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _plan(connection: Connection) -> None:
    await _prepare(connection)
    # While another program keeps a table locked, the connection serves everything that does not need that table.
    with contextlib.suppress(asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError, asyncpg.LockNotAvailableError):
        for query in PLANNED:
            await connection.execute(query)
