"""Tries again what another session keeps locked, so that nobody queues behind a migration for long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

# A statement that waits for a lock on a table makes all others wait behind it: never longer than this.
LOCK_TIMEOUT_SECONDS: Final = 0.5
FIRST_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 2.0
MAX_TRIES: Final = 60


class MigrationError(Exception):
    """The schema cannot be brought up to date; the message says why, and what to do."""


class BlockedMigrationError(MigrationError):
    """Another session keeps something locked."""


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
