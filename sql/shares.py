"""The connections of a process that serves many businesses: each has its share, and commands and callbacks have a reserve.

On the road of a call: beside `sql/pool.py`; everything the web process reads or writes goes through here.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from dialer.shares import Shares, Use

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from sql.pool import Connection

# For whom the running task asks the database; set once for each request.
PROCESS: Final = Use("process")
CURRENT_USE: Final[ContextVar[Use]] = ContextVar("use", default=PROCESS)
PATIENCE_SECONDS: Final = 2.0
WAITING_PER_TENANT: Final = 64
# A connection that has to be opened first: a server that does not answer within this is away.
OPEN_SECONDS: Final = 5.0
RESERVED_FRACTION: Final = 0.4


def shares_of(size: int) -> Shares:
    """How `size` connections are divided."""
    return Shares(size, reserved=int(size * RESERVED_FRACTION), patience_seconds=PATIENCE_SECONDS, waiting_per_tenant=WAITING_PER_TENANT)


class SharedPool:
    """A pool whose connections are divided between the tenants that use it."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], shares: Shares, use: Use | None = None) -> None:
        """Divide `pool` by `shares`; `use` asks for every connection, or None: whatever the running task is for."""
        self._pool = pool
        self._shares = shares
        self._use = use

    def for_use(self, use: Use) -> SharedPool:
        """The same connections, always asked for by `use`: for a task that serves nobody in particular."""
        return SharedPool(self._pool, self._shares, use)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Hold a connection.

        Raises:
            BusyError: when this tenant's share is in use for too long.
            OSError, asyncpg.PostgresError: when the server does not answer.
        """
        async with self._shares.hold(self._use or CURRENT_USE.get()), self._pool.acquire(timeout=OPEN_SECONDS) as connection:
            yield connection

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
