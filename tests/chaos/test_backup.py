"""PostgreSQL comes back from a backup of some seconds ago: whoever was called since is found, and not called again.

On the road of a call: under all of it, where the floor is an older one.
"""

from __future__ import annotations

import asyncio
import shutil
from signal import SIGKILL
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from ringmaster.local.child import Child
from ringmaster.local.data_dir import DataDir
from ringmaster.local.postgres import program
from tests.chaos.figures import keep
from tests.chaos.judge import book, judge
from tests.chaos.town import Cluster
from tests.chaos.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

# Calls of a second or two: most of those that are forgotten have ended when they are found. At a speed of 10 some are on the line.
SPEED = 40.0
# Enough leads that some are left when a busy machine has at last made the backup.
BUSINESSES, LEADS, BEFORE, FORGOTTEN = 3, 48, 3, 4
# Nothing is archived here: the backup has what it needs, and ends where it ends.
SETTINGS = {"wal_level": "replica", "max_wal_senders": "4", "restore_command": "false"}
TIMELINE = "SELECT timeline_id FROM pg_control_checkpoint()"
FOUND = "SELECT count(*) FROM dialer.attempts WHERE reason LIKE 'found at the provider%'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The town of this file, whose PostgreSQL can be backed up while it runs."""
    async with Cluster(tmp_path_factory.mktemp("backup"), speed=SPEED, postgres=SETTINGS) as town:
        yield town


async def back_up(town: Cluster, path: Path) -> None:
    """Copy the running cluster."""
    address = urlsplit(town.postgres.url)
    command: list[str | Path] = [program("pg_basebackup"), "--pgdata", path / "backup", "--checkpoint=fast", "--no-sync"]
    command += ["-h", str(address.hostname), "-p", str(address.port), "-U", str(address.username)]
    # In the directory of the server: the copy has to belong to its user.
    tool = Child(command, place=DataDir(path), goodbye=SIGKILL, owner=True, environment={"PGPASSWORD": str(address.password)})
    await tool.finish()


async def restore(town: Cluster, path: Path) -> None:
    """Crash PostgreSQL, and start it again from the copy."""
    await town.postgres.kill()
    (path / "backup" / "recovery.signal").touch()
    await asyncio.to_thread(shutil.rmtree, path / "cluster")
    (path / "backup").rename(path / "cluster")
    await town.postgres.start()


async def test_calls_placed_since_the_backup_are_found(town: Cluster) -> None:
    await town.staff(2)
    path = town.path / "postgres"
    tenants = [await town.tenant() for _ in range(BUSINESSES)]
    runs = [(tenant, await tenant.run(town.leads(LEADS))) for tenant in tenants]
    for tenant, run_id in runs:
        await tenant.taken(run_id, BEFORE)
    await back_up(town, path)
    at_backup = len((await book(town)).calls)

    async def enough() -> bool:
        return len((await book(town)).calls) >= at_backup + FORGOTTEN * BUSINESSES

    await until(enough, 60, "calls are placed that the backup does not have")
    await restore(town, path)
    town.watch.forget()
    for tenant, run_id in runs:
        run = await tenant.ended(run_id, 120)
        assert run["status"] == "completed", run
    figures = await judge(town, tenants)
    assert figures["calls"] == figures["leads"]
    assert await town.value(TIMELINE) > 1
    found = await town.value(FOUND)
    assert found >= FORGOTTEN
    keep("PostgreSQL restored from a backup", **figures, found=found)
