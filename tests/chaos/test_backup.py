"""PostgreSQL is restored from a backup some seconds old: calls placed since then are found, and no lead is called again."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from ringmaster.local.postgres import program
from ringmaster.local.process import Child
from tests.chaos.cluster import Cluster
from tests.chaos.figures import keep
from tests.chaos.judge import call_records, judge
from tests.chaos.polling import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

# Calls of a second or two: most of the lost ones have ended when they are found. At a speed of 10 some are still in progress.
SPEED = 40.0
# Enough leads that some are still queued when a busy machine has finished the backup.
BUSINESSES, LEADS, BEFORE, FORGOTTEN = 3, 48, 3, 4
# No WAL is archived: recovery ends at the end of the backup.
SETTINGS = {"wal_level": "replica", "max_wal_senders": "4", "restore_command": "false"}
TIMELINE = "SELECT timeline_id FROM pg_control_checkpoint()"
FOUND = "SELECT count(*) FROM dialer.attempts WHERE reason LIKE 'found at the provider%'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of this file, whose PostgreSQL can be backed up while it runs."""
    async with Cluster(tmp_path_factory.mktemp("backup"), speed=SPEED, postgres=SETTINGS) as cluster:
        yield cluster


async def back_up(cluster: Cluster, path: Path) -> None:
    """Copy the running cluster."""
    address = urlsplit(cluster.postgres.url)
    command: list[str | Path] = [program("pg_basebackup"), "--pgdata", path / "backup", "--checkpoint=fast", "--no-sync"]
    command += ["-h", str(address.hostname), "-p", str(address.port), "-U", str(address.username)]
    # In the directory of the server: the copy must belong to its user.
    environment = {"PGPASSWORD": str(address.password)}
    tool = Child("pg_basebackup", command, log=path / "server.log", environment=environment, owned=path)
    await tool.finish()


async def restore(cluster: Cluster, path: Path) -> None:
    """Crash PostgreSQL, and start it again from the copy."""
    await cluster.postgres.kill()
    (path / "backup" / "recovery.signal").touch()
    await asyncio.to_thread(shutil.rmtree, path / "cluster")
    (path / "backup").rename(path / "cluster")
    await cluster.postgres.start()


async def test_calls_placed_since_the_backup_are_found(cluster: Cluster) -> None:
    await cluster.scale(2)
    path = cluster.path / "postgres"
    tenants = [await cluster.tenant() for _ in range(BUSINESSES)]
    runs = [(tenant, await tenant.run(cluster.leads(LEADS))) for tenant in tenants]
    for tenant, run_id in runs:
        await tenant.taken(run_id, BEFORE)
    await back_up(cluster, path)
    at_backup = len((await call_records(cluster)).calls)

    async def enough() -> bool:
        return len((await call_records(cluster)).calls) >= at_backup + FORGOTTEN * BUSINESSES

    await until(enough, 60, "calls are placed that the backup does not have")
    await restore(cluster, path)
    cluster.watch.clear()
    for tenant, run_id in runs:
        run = await tenant.ended(run_id, 120)
        assert run["status"] == "completed", run
    figures = await judge(cluster, tenants)
    assert figures["calls"] == figures["leads"]
    assert await cluster.value(TIMELINE) > 1
    found = await cluster.value(FOUND)
    assert found >= FORGOTTEN
    keep("PostgreSQL restored from a backup", **figures, found=found)
