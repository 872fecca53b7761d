"""How long a migration keeps others waiting: its longest lock on a table of schema `public`, and its longest on rows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sql.patience import brief
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.pool import Connection


@dataclass(frozen=True, slots=True)
class LongestLock:
    """What was locked for longest: for how many seconds, by which step; zero when nothing was."""

    seconds: float = 0.0
    step: str = ""


@dataclass(slots=True)
class LockTimes:
    """The longest locks of a migration, each from the first statement of its transaction to the commit, waiting included.

    `table`: nobody else could write the table. `rows`: nobody else could write those rows.
    """

    table: LongestLock = field(default_factory=LongestLock)
    rows: LongestLock = field(default_factory=LongestLock)

    def __str__(self) -> str:
        """One line for people; empty when nothing was locked."""
        found = [("table", self.table), ("row", self.rows)]
        told = [f"a {what} for {lock.seconds * 1000:,.0f} ms ({lock.step})" for what, lock in found if lock.step]
        return f"longest lock: {', '.join(told)}" if told else ""

    @asynccontextmanager
    async def transaction(self, connection: Connection, step: str) -> AsyncIterator[None]:
        """A transaction around a block; counted when it locks a table, or has queued for one in vain."""
        started_at = asyncio.get_running_loop().time()
        locks_table = True
        try:
            async with brief(connection):
                yield
                locks_table = await connection.fetchval(statements("migrations")["locks_table"])
        finally:
            if locks_table:
                self.table = self._longer(self.table, step, started_at)

    @asynccontextmanager
    async def of_rows(self, connection: Connection, step: str) -> AsyncIterator[None]:
        """A transaction around a block that locks rows, which is counted."""
        started_at = asyncio.get_running_loop().time()
        try:
            async with brief(connection):
                yield
        finally:
            self.rows = self._longer(self.rows, step, started_at)

    def _longer(self, known: LongestLock, step: str, started_at: float) -> LongestLock:
        seconds = asyncio.get_running_loop().time() - started_at
        return LongestLock(seconds, step) if seconds > known.seconds else known
