"""Divides the connections of the web process: each business has its share, and commands and callbacks have a reserve."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from dialer.shares import BusyError, Shares, Use
from sql.pool import Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sql.pool import Connection

# The tenant of the running task; set once for each request.
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

    def __init__(self, pool: Pool, shares: Shares, use: Use | None = None, refused: Callable[[], None] = lambda: None) -> None:
        """Divide `pool` by `shares`; connections count for `use`, or with None for the use of the running task.

        `refused` is called when a use gets none.
        """
        self._shared = pool
        self._shares = shares
        self._use = use
        self._refused = refused

    @property
    def connections(self) -> tuple[int, int, int]:
        """How many connections are in use, how many are open and idle, and the most there may be."""
        return self._shared.connections

    def for_use(self, use: Use) -> SharedPool:
        """The same connections, always counted for `use`: for tasks that serve no particular business."""
        return SharedPool(self._shared, self._shares, use, self._refused)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Hold a connection for the length of a block.

        Raises:
            BusyError: when this tenant's share is in use for too long.
            RowLockedError, DatabaseUnavailableError: from a statement within the block, or when no connection became free in time.
        """
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._shares.hold(self._use or CURRENT_USE.get()))
            except BusyError:
                self._refused()
                raise
            yield await stack.enter_async_context(self._shared.acquire())

    async def close(self) -> None:
        """Close every connection."""
        await self._shared.close()
