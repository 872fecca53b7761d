"""The runbook of a restore in docs/operations.md, with its own commands, from a dump and to a point in time: nobody is called again."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import textwrap
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from ringmaster.local.postgres import program
from ringmaster.local.process import CHECKOUT, Child
from tests.chaos.cluster import Cluster
from tests.chaos.figures import keep
from tests.chaos.judge import call_records, judge, taken_after
from tests.chaos.polling import until
from tests.chaos.test_backup import FORGOTTEN, FOUND
from tests.chaos.test_servers import dialing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

SPEED = 40.0
LEADS, CANCELLED_LEADS, AGAIN = 90, 150, 6
CALL_SECONDS = 60.0
PAGE: Final = (CHECKOUT / "docs" / "operations.md").read_text().split("\n## Back up and restore\n")[1].split("\n## ")[0]
BLOCK: Final = re.compile(r"^( *)```(?:sh|sql)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
TIMELINES: Final = "SELECT count(*) FROM dialer.timelines"


def blocks(step: int) -> list[str]:
    """The blocks of commands and statements of a step of the runbook; step 0 is how to make a backup."""
    text = re.split(r"^\d\. ", PAGE, flags=re.MULTILINE)[step]
    return [textwrap.dedent(block) for _, block in BLOCK.findall(text)]


def filled(command: str, **values: int | str) -> str:
    """The command with its options' values in place of N and FILE."""
    for name, value in {**values, "by": "Dana"}.items():
        command, found = re.subn(rf"--{name} [A-Z]+\b", f"--{name} {value}", command)
        assert found, f"{command} has no --{name}"
    return command


class Terminal:
    """Runs blocks of the page in the directory of PostgreSQL, with the environment of our processes and a few addresses."""

    def __init__(self, cluster: Cluster) -> None:
        self.path = cluster.path / "postgres"
        self.archive = self.path / "archive"
        url = cluster.postgres.url
        folders = [Path(sys.executable).parent, program("psql").parent, *os.environ["PATH"].split(os.pathsep)]
        self.environment = {
            **cluster.environment,
            "PATH": os.pathsep.join(map(str, folders)),
            "PYTHONPATH": str(CHECKOUT),
            "ADMIN_URL": urlsplit(url)._replace(path="/postgres").geturl(),
            "PGDATA": str(self.path / "cluster"),
            "ARCHIVE": str(self.archive),
        }

    async def run(self, text: str, **more: str) -> None:
        """Run a block; each of its commands must succeed."""
        await self._child(text, self.environment | more).finish()

    def _child(self, text: str, environment: Mapping[str, str]) -> Child:
        # What is written here must belong to the user of the server.
        owned = None if "python" in text else self.path
        log = self.path / "terminal.log"
        return Child(text, [Path("/bin/bash"), "-euc", text], log=log, environment=environment, owned=owned, directory=self.path)


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
    }
    async with Cluster(path, speed=SPEED, postgres=settings) as cluster:
        yield cluster


class FromDump:
    """A dump, loaded into a new database of the same name on the same server."""

    def __init__(self, cluster: Cluster, terminal: Terminal) -> None:
        self._cluster, self._terminal = cluster, terminal

    async def back_up(self) -> None:
        """The first command of the page."""
        await self._terminal.run(blocks(0)[0].splitlines()[0])

    async def restore(self) -> None:
        """Step 2."""
        await self._cluster.pool.close()
        await self._terminal.run(blocks(2)[0])


class ToPointInTime(FromDump):
    """A base backup, and the log that was archived since, up to a time after it."""

    async def back_up(self) -> None:
        """The second command of the page; remembers the time after it."""
        await self._terminal.run(blocks(0)[0].splitlines()[1])
        self._target = str(await self._cluster.value("SELECT clock_timestamp()::text"))

    async def restore(self) -> None:
        """Step 2, once all is archived."""
        postgres = self._cluster.postgres
        segment = await self._cluster.value("SELECT pg_walfile_name(pg_switch_wal())")

        async def archived() -> bool:
            return bool(await self._cluster.value("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", segment))

        await until(archived, CALL_SECONDS, "the log is archived")
        await self._cluster.pool.close()
        await postgres.stop()
        await self._terminal.run(blocks(2)[1], TARGET=self._target)
        await postgres.start()
        await self._terminal.run(blocks(2)[2])


async def calls(cluster: Cluster) -> list[dict[str, Any]]:
    return (await call_records(cluster)).calls


@pytest.mark.parametrize("kind", [FromDump, ToPointInTime])
async def test_the_runbook_of_a_restore(cluster: Cluster, kind: type[FromDump]) -> None:
    await cluster.scale(2)
    runs = [*await dialing(cluster, LEADS, 2), *await dialing(cluster, CANCELLED_LEADS, 1)]
    (tenant, run_id), (other, _), (cancelled, cancelled_run) = runs
    terminal = Terminal(cluster)
    way = kind(cluster, terminal)
    await way.back_up()
    at_backup = len(await calls(cluster))
    # What people ask for since: a number not to be called, a cancel, a run that is loaded.
    file, unwanted = cluster.path / "numbers.csv", tenant.runs[run_id][-1]["phone"]
    file.write_text(f"phone\n{unwanted}\n")
    ask_again = [
        filled(blocks(5)[0], business=tenant.business_id, file=str(file)),
        filled(blocks(5)[1], business=cancelled.business_id, run=cancelled_run),
    ]
    leads = cluster.leads(AGAIN)
    lost_run = await other.run(leads, start=False)

    async def enough() -> bool:
        return len(await calls(cluster)) >= at_backup + FORGOTTEN * len(runs)

    await asyncio.gather(*map(terminal.run, ask_again))
    assert unwanted not in {call["to"] for call in await calls(cluster)}
    await until(enough, CALL_SECONDS, "calls are placed that the copy does not have")
    # Step 1, as roughly as can be. The judge's connections would be in the way of the restore as any other's.
    for name in list(cluster.workers):
        await cluster.end(name, SIGKILL)
    await cluster.kill_web()
    before = await cluster.value(TIMELINES)
    await way.restore()
    await cluster.connect()
    made = len(await calls(cluster))
    cluster.watch.clear()
    await terminal.run(filled(blocks(3)[0]))
    await cluster.start_web()
    await cluster.scale(1)
    assert await cluster.value(TIMELINES) == before + 1

    async def compared() -> bool:
        return not await cluster.rows(blocks(4)[0])

    await until(compared, CALL_SECONDS, "the calls of every business are compared")
    assert (await cancelled.read_run(cancelled_run))["status"] == "running"
    await asyncio.gather(*map(terminal.run, ask_again))
    other.runs.pop(lost_run)
    await other.run(leads)
    assert len(await calls(cluster)) == made, "nobody is called before the dialling is resumed"
    await terminal.run(filled(blocks(6)[0]))
    for business in (tenant, other, cancelled):
        for run in business.runs:
            assert (await business.ended(run, 120))["status"] == ("cancelled" if business is cancelled else "completed")
    assert unwanted not in {call["to"] for call in await calls(cluster)}
    assert await taken_after(cluster, cancelled_run) == 0
    figures = await judge(cluster, [tenant, other, cancelled])
    found = await cluster.value(FOUND)
    assert found >= FORGOTTEN
    keep(f"PostgreSQL restored, {kind.__name__}", **figures, found=found)
