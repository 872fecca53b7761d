"""Every statement of sql/*/queries.sql is one PostgreSQL can prepare on the migrated schema."""

from __future__ import annotations

import asyncpg
import pytest

from sql.statements import every_statement


@pytest.mark.parametrize("name", sorted(every_statement()))
async def test_it_can_be_prepared(database_url: str, name: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        text = every_statement()[name]
        if text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            await connection.prepare(text)
        else:
            await connection.execute(text)
    finally:
        await connection.close()
