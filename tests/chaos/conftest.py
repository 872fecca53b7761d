"""A town for the tests of each file: put up once, mended before each test, cleared after it.

On the road of a call: all of it, with somebody cutting the cables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.chaos.town import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The town of one file of tests."""
    async with Cluster(tmp_path_factory.mktemp("town")) as town:
        yield town


@pytest_asyncio.fixture(loop_scope="module")
async def town(shared_town: Cluster) -> AsyncIterator[Cluster]:
    """The town, with nothing broken and one worker."""
    await shared_town.mend()
    await shared_town.staff(1)
    yield shared_town
    await shared_town.mend()
    await shared_town.clear()
