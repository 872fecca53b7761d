"""The runbook of a restore in docs/operations.md, from a dump and to a point in time: whoever was called since is not called again."""

from __future__ import annotations

import asyncio
import shutil
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.chaos.cluster import Cluster
from tests.chaos.figures import keep
from tests.chaos.judge import call_records
from tests.chaos.polling import until
from tests.chaos.test_backup import FORGOTTEN, FOUND, back_up
from tests.chaos.test_servers import completed, dialing
from tests.integration.test_restores import replace_database, tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Restore = Callable[[], Awaitable[None]]

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

SPEED = 40.0
BUSINESSES, LEADS = 3, 48
CALL_SECONDS = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A cluster whose PostgreSQL archives its log in its own directory."""
    path = tmp_path_factory.mktemp("restore")
    archive = path / "postgres" / "archive"
    settings = {
        "wal_level": "replica",
        "max_wal_senders": "4",
        "archive_mode": "on",
        "archive_command": f"mkdir -p {archive} && cp %p {archive}/%f",
        "restore_command": f"cp {archive}/%f %p",
    }
    async with Cluster(path, speed=SPEED, postgres=settings) as cluster:
        yield cluster


async def from_dump(cluster: Cluster) -> Restore:
    """Dump the database; restoring loads the dump into a new one of the same name."""
    file = str(cluster.path / "dump")
    await tool("pg_dump", "--format=custom", "--file", file, cluster.postgres.url)

    async def restore() -> None:
        await replace_database(cluster.postgres.url)
        await tool("pg_restore", "--no-owner", "--exit-on-error", "--dbname", cluster.postgres.url, file)

    return restore


async def to_point_in_time(cluster: Cluster) -> Restore:
    """Copy the cluster, and remember the time after that; restoring replays the archived log up to then."""
    path: Path = cluster.path / "postgres"
    await back_up(cluster, path)
    target = await cluster.value("SELECT clock_timestamp()::text")

    async def restore() -> None:
        await cluster.value("SELECT pg_switch_wal()")
        await until(
            lambda: cluster.value("SELECT last_archived_time IS NOT NULL FROM pg_stat_archiver"), CALL_SECONDS, "the log is archived"
        )
        await cluster.postgres.stop()
        await asyncio.to_thread(shutil.rmtree, path / "cluster")
        (path / "backup").rename(path / "cluster")
        (path / "cluster" / "recovery.signal").touch()
        with (path / "cluster" / "postgresql.auto.conf").open("a") as file:
            file.write(f"recovery_target_time = '{target}'\nrecovery_target_action = 'promote'\n")
        await cluster.postgres.start()

    return restore


@pytest.mark.parametrize("saved", [from_dump, to_point_in_time])
async def test_whoever_was_called_since_is_not_called_again(cluster: Cluster, saved: Callable[[Cluster], Awaitable[Restore]]) -> None:
    await cluster.scale(2)
    runs = await dialing(cluster, LEADS, BUSINESSES)
    restore = await saved(cluster)
    at_backup = len((await call_records(cluster)).calls)

    async def enough() -> bool:
        return len((await call_records(cluster)).calls) >= at_backup + FORGOTTEN * BUSINESSES

    await until(enough, CALL_SECONDS, "calls are placed that the copy does not have")
    # Stop everything, as the runbook says: here as roughly as can be.
    for name in list(cluster.workers):
        await cluster.end(name, SIGKILL)
    await cluster.kill_web()
    before = await cluster.value("SELECT count(*) FROM dialer.timelines")
    await restore()
    cluster.watch.clear()
    await cluster.start_web()
    await cluster.scale(1)
    figures = await completed(cluster, runs)
    found = await cluster.value(FOUND)
    assert found >= FORGOTTEN
    assert await cluster.value("SELECT count(*) FROM dialer.timelines") == before + 1
    keep(f"PostgreSQL restored, {saved.__name__}", **figures, found=found)
