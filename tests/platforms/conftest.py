"""The cluster of each platform; MATRIX=1 (`make matrix`) runs the tests of the main job and of faults on every one of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest_asyncio

from tests.chaos.cluster import Cluster
from tests.chaos.conftest import cluster  # noqa: F401 - the fixture of the tests that are run here again
from tests.pgbouncer import Mode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

PLATFORMS: Final[dict[str, dict[str, Any]]] = {
    "pgbouncer-session": {"pooler": Mode.SESSION},
    "pgbouncer-transaction": {"pooler": Mode.TRANSACTION},
    # Three of them are reserved for superusers; the judge takes four.
    "20-connections": {"postgres": {"max_connections": "20"}, "DIALER_DATABASE_CONNECTIONS": "4"},
}

collect_ignore_glob = [] if os.environ.get("MATRIX") else ["test_*.py"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PLATFORMS)
async def shared_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of one platform."""
    async with Cluster(tmp_path_factory.mktemp("cluster"), **PLATFORMS[request.param]) as made:
        yield made
