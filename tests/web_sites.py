"""Fixtures of a running web process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.web_site import NO_REDIS, Site, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.rows import DatabaseFixture


@pytest_asyncio.fixture
async def site(database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    """A web process with two businesses."""
    async with serving(database_url, redis_url, database) as site:
        yield site


@pytest_asyncio.fixture
async def site_without_redis(database_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    """A web process without Redis."""
    async with serving(database_url, NO_REDIS, database) as site:
        yield site
