"""Tries again what another session keeps locked, so that nobody queues behind a migration for long."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sql.pool import Connection

T = TypeVar("T")

FIRST_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 2.0
MAX_TRIES: Final = 60


class MigrationError(Exception):
    """The schema cannot be brought up to date; the message says why, and what to do."""


class BlockedMigrationError(MigrationError):
    """Another session keeps something locked."""


@asynccontextmanager
async def brief(connection: Connection) -> AsyncIterator[None]:
    """A transaction that waits half a second for a lock at most, since all others wait behind it, and has no other limit."""
    async with connection.transaction():
        await connection.execute(statements("migrations")["limit"])
        yield


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Repeat `attempt` while it meets locked rows or tables, at most 60 times with growing pauses: some two minutes.

    Raises:
        BlockedMigrationError: when they stay locked.
    """
    pause, locked = FIRST_PAUSE_SECONDS, ""
    for _ in range(MAX_TRIES):
        try:
            return await attempt()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            locked = str(error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, MAX_PAUSE_SECONDS)
    message = (
        f"another session keeps what the migration needs ({locked}); what was done stays, and the same command goes on from there. "
        "pg_stat_activity shows who it is: its oldest xact_start"
    )
    raise BlockedMigrationError(message)
