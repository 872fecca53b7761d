"""Asks a database about itself and about its rows; each question is one statement that changes nothing and is cut off after 5 s."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from sql.pool import SESSION, Pool, connections, read_json
from sql.pooler import Connector
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TEXT = statements("diagnosis")
LIMIT_SECONDS: Final = 5


class Diagnosis:
    """One connection to a database as it is, whatever its schema; `pooled` when a pooler is in between."""

    def __init__(self, pool: Pool, *, pooled: bool) -> None:
        """Use `pool`, which the caller closes."""
        self.pool = pool
        self.pooled = pooled

    async def ask(self, name: str, *values: object) -> dict[str, Any]:
        """The one row of a statement of sql/diagnosis/queries.sql; empty without one, when nothing of ours is there.

        Raises:
            DatabaseUnavailableError, asyncpg.PostgresError: when it is not answered within 5 s, or refused.
        """
        rows = await self.rows(name, *values)
        if rows and "statement" in rows[0]:
            rows = await self._bounded(rows[0]["statement"])
        return rows[0] if rows else {}

    async def rows(self, name: str, *values: object) -> list[dict[str, Any]]:
        """All rows of such a statement.

        Raises:
            DatabaseUnavailableError, asyncpg.PostgresError: when it is not answered within 5 s, or refused.
        """
        return await self._bounded(TEXT[name], *values)

    async def _bounded(self, statement: str, *values: object) -> list[dict[str, Any]]:
        async with self.pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(TEXT["limit"], f"{LIMIT_SECONDS}s")
            return [dict(row) for row in await connection.fetch(statement, *values)]


@asynccontextmanager
async def open_diagnosis(database_url: str, *, name: str) -> AsyncIterator[Diagnosis]:
    """Connect for the length of a block; `name` is what pg_stat_activity shows. Nothing of ours need be there, nor any privilege.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    connector = Connector(name, SESSION)
    # Without our schema there is no timeline to notice; the time-out is for a server that does not answer at all.
    pool = await connections(database_url, connector, size=1, seconds=2 * LIMIT_SECONDS, init=read_json)
    async with Pool(pool) as opened:
        yield Diagnosis(opened, pooled=connector.pooled)
