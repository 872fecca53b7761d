"""The connections of a process that serves many businesses: each has its share, and commands and callbacks have a reserve.

On the road of a call: beside `sql/pool.py`; everything the web process reads or writes goes through here.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from dialer.shares import Shares, Use
from sql.pool import Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.pool import Connection

# For whom the running task asks the database; set once for each request.
PROCESS: Final = Use("process")
CURRENT_USE: Final[ContextVar[Use]] = ContextVar("use", default=PROCESS)
PATIENCE_SECONDS: Final = 2.0
WAITING_PER_TENANT: Final = 64
RESERVED_FRACTION: Final = 0.4


def shares_of(size: int) -> Shares:
    """How `size` connections are divided."""
    return Shares(size, reserved=int(size * RESERVED_FRACTION), patience_seconds=PATIENCE_SECONDS, waiting_per_tenant=WAITING_PER_TENANT)


class SharedPool(Pool):
    """A pool whose connections are divided between the tenants that use it."""

    def __init__(self, pool: Pool, shares: Shares, use: Use | None = None) -> None:
        """Divide `pool` by `shares`; `use` asks for every connection, or None: whatever the running task is for."""
        self._shared = pool
        self._shares = shares
        self._use = use

    def for_use(self, use: Use) -> SharedPool:
        """The same connections, always asked for by `use`: for a task that serves nobody in particular."""
        return SharedPool(self._shared, self._shares, use)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Hold a connection for the length of a block.

        Raises:
            BusyError: when this tenant's share is in use for too long.
            RowLockedError, DatabaseUnavailableError: from a statement within the block, or when no connection became free in time.
        """
        async with self._shares.hold(self._use or CURRENT_USE.get()), self._shared.acquire() as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._shared.close()
