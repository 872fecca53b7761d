"""The cluster of each platform; MATRIX=1 (`make matrix`) runs the tests of the main job and of faults on every one of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest_asyncio

from tests.chaos.cluster import SPEED, Cluster
from tests.chaos.conftest import cluster  # noqa: F401 - the fixture of the tests that are run here again
from tests.debian import DebianPostgres, DebianRedis, NewerPostgres, OldestPostgres
from tests.pgbouncer import Mode
from tests.proxies import Proxy
from tests.redis_cluster import RedisCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

PLATFORMS: Final[dict[str, dict[str, Any]]] = {
    # A session of the server for each connection of a web process and two workers: the pooler has 20.
    "pgbouncer-session": {"pooler": Mode.SESSION, "DIALER_DATABASE_CONNECTIONS": "6"},
    "pgbouncer-transaction": {"pooler": Mode.TRANSACTION},
    "postgresql-14": {"database": OldestPostgres},
    "postgresql-15": {"database": DebianPostgres},
    "postgresql-17": {"database": NewerPostgres},
    "redis-7": {"redis_server": DebianRedis},
    "redis-cluster": {"redis_server": RedisCluster},
    "nginx": {"proxy": Proxy.NGINX},
    "haproxy": {"proxy": Proxy.HAPROXY},
    "least-privilege": {"least_privilege": True},
    # Three of them are reserved for superusers; the judge takes four.
    "20-connections": {"postgres": {"max_connections": "20"}, "DIALER_DATABASE_CONNECTIONS": "4"},
}

collect_ignore_glob = [] if os.environ.get("MATRIX") else ["test_*.py"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PLATFORMS)
async def shared_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of one platform, with calls as fast as the tests of the file want them."""
    speed = getattr(request.module, "SPEED", SPEED)
    async with Cluster(tmp_path_factory.mktemp("cluster"), speed=speed, **PLATFORMS[request.param]) as made:
        yield made
