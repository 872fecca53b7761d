"""What doctor says of connections, where several limits hold."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ringmaster.doctor.finding import Status
from sql.pool import open_pool
from tests.installations import ROLE

if TYPE_CHECKING:
    from tests.installations import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_connections_are_counted_against_the_limit_that_they_count_for(installation: Installation) -> None:
    installation.set(DIALER_DATABASE_CONNECTIONS="4")
    await installation.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 20")
    try:
        async with AsyncExitStack() as stack:
            # Neighbours on the same server, and two web processes on one machine that have not opened more yet.
            for _ in range(15):
                stack.push_async_callback((await asyncpg.connect(installation.servers.postgres.url)).close)
            for name in ("ringmaster web one:1", "ringmaster web one:2"):
                await stack.enter_async_context(await open_pool(installation.url, name=name, size=1))
            [found] = [finding for finding in await installation.findings() if finding.name == "connections"]
    finally:
        await installation.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
    assert (found.status, found.detail) == (
        Status.OK,
        "2 processes of ours x 4 + 2 of migrate = 10, others 0, of 20 that this role may have: room for 2 more processes",
    )
