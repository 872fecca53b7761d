"""The database of a test, with a worker that owns all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from sql.pool import open_pool
from tests.integration.rows import Shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    pool = await open_pool(database_url, name="test", size=8)
    try:
        yield await Shop(pool).open()
    finally:
        await pool.close()
