"""Gives a role what the web process and the workers need, and nothing else; run by the owner of the tables (`migrate --grant`)."""

from __future__ import annotations

from sql.pooler import Connector
from sql.statements import statements


async def grant(database_url: str, role: str) -> list[str]:
    """Grant `role` what it lacks, and the same for tables that later migrations make; return the statements that were carried out.

    Raises:
        asyncpg.UndefinedObjectError: when there is no such role.
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    connection = await Connector("migrate", {}).connect(database_url)
    try:
        async with connection.transaction():
            row = await connection.fetchrow(statements("diagnosis")["privileges"], role)
            done: list[str] = row["grants"] if row else []
            later: list[str] = await connection.fetchval(statements("privileges")["later"], role)
            for statement in (*done, *later):
                await connection.execute(statement)
            return done
    finally:
        await connection.close()
