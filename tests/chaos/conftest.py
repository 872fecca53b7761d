"""A cluster for the tests of each file: started once, repaired before each test, cleared after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.chaos.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of one test file."""
    async with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(shared_cluster: Cluster) -> AsyncIterator[Cluster]:
    """The cluster without faults, with one worker."""
    await shared_cluster.repair()
    await shared_cluster.scale(1)
    yield shared_cluster
    await shared_cluster.repair()
    await shared_cluster.clear()
