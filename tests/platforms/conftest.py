"""The cluster of each platform; MATRIX=1 (`make matrix`) runs the tests of the main job and of faults on every one of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from tests.chaos.cluster import SPEED
from tests.chaos.conftest import cluster  # noqa: F401 - the fixture of the tests that are run here again
from tests.debian import DebianPostgres, DebianRedis, NewerPostgres, OldestPostgres
from tests.pgbouncer import Mode
from tests.platforms.procfile import ProcfileCluster
from tests.proxies import Proxy
from tests.redis_cluster import RedisCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

# Each part that differs is in one of them, combined so that there are few. Which part a fault is of: take the others away.
PLATFORMS: Final[dict[str, dict[str, Any]]] = {
    "debian": {"database": DebianPostgres, "redis_server": DebianRedis},
    # A session of the server for each connection of a web process and three workers: the pooler has 20.
    "pgbouncer-session-nginx": {"pooler": Mode.SESSION, "proxy": Proxy.NGINX, "DIALER_DATABASE_CONNECTIONS": "5"},
    "pgbouncer-transaction-haproxy-postgresql-17": {"pooler": Mode.TRANSACTION, "proxy": Proxy.HAPROXY, "database": NewerPostgres},
    "redis-cluster-least-privilege-postgresql-14": {
        "redis_server": RedisCluster,
        "least_privilege": True,
        "database": OldestPostgres,
    },
    # Four processes of four and the judge, who takes four.
    "20-connections-debian-nginx": {
        "database": DebianPostgres,
        "redis_server": DebianRedis,
        "proxy": Proxy.NGINX,
        "postgres": {"max_connections": "20"},
        "DIALER_DATABASE_CONNECTIONS": "4",
    },
}

collect_ignore_glob = [] if os.environ.get("MATRIX") else ["test_*.py"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A server or tool that is missing fails a test that needs it: a platform that was not tried must not look like one that works."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
    return report


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PLATFORMS)
async def shared_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProcfileCluster]:
    """The cluster of one platform, with calls as fast as the tests of the file want them."""
    speed = getattr(request.module, "SPEED", SPEED)
    async with ProcfileCluster(tmp_path_factory.mktemp("cluster"), speed=speed, **PLATFORMS[request.param]) as made:
        yield made
