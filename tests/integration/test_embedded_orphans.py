"""No server outlives the process that started it, whoever it runs as, and the next start recovers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import psutil
import pytest

import dialer
from ringmaster.local import postgres
from ringmaster.local.data_dir import DataDir
from ringmaster.local.orphans import marked, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHECKOUT = Path(dialer.__file__).parents[1]
END_SECONDS = 15.0
START_SECONDS = 60.0

# A shell starts a background test run with SIGINT ignored; a terminal does not.
PARENT = """
import asyncio, signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from ringmaster.local import postgres, valkey

async def main():
    place = Path(sys.argv[1])
    async with postgres.running(place / "postgres", fast=True) as database, valkey.running(place / "valkey"):
        print(database, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

# Root in a user namespace that allows no further ones, as in a container. All user ids are mapped.
CONTAINED = """
import ctypes, os, sys
from pathlib import Path

ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
os.read(ready[0], 1)
Path(f"/proc/{child}/uid_map").write_text("0 0 65536")
Path(f"/proc/{child}/gid_map").write_text("0 0 65536")
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


# An ordinary user, with access to the interpreter even if it is in a directory that only root may enter.
ORDINARY = """
import os, sys
from pathlib import Path
from ringmaster.local.launch import ordinary_user, reachable, switch_user

switch_user(ordinary_user(), keep_access=not reachable(Path(sys.executable).resolve()))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def processes(place: Path) -> list[psutil.Process]:
    return [process for server in ("postgres", "valkey") for process in marked(DataDir(place / server).mark)]


@asynccontextmanager
async def parent(place: Path, before: str | None = None) -> AsyncIterator[tuple[int, str]]:
    """A process that has started both servers in `place`: its id and the address of the database; `before` is run first, and becomes it."""
    command = [sys.executable, *(["-c", before] if before else []), "-c", PARENT]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = await asyncio.create_subprocess_exec(
        *command, place, stdout=asyncio.subprocess.PIPE, env=environment, cwd="/", start_new_session=True
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        assert line, "the parent ended before its servers were ready"
        yield process.pid, line.decode().strip()
    finally:
        kill_all(process.pid, besides=processes(place))
        await process.wait()


def kill_all(pid: int, besides: list[psutil.Process]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            if process not in besides:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


async def answer(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT 1")
    finally:
        await connection.close()


def users(place: Path) -> set[int]:
    return {process.uids().real for process in marked(DataDir(place / "postgres").mark)}


async def test_servers_end_with_a_killed_parent_and_the_next_start_recovers(tmp_path: Path) -> None:
    async with parent(tmp_path) as (_, url):
        assert await answer(url) == 1
        assert len(processes(tmp_path)) > 2
    assert await until(lambda: not processes(tmp_path), END_SECONDS)
    async with parent(tmp_path) as (_, url):
        assert await answer(url) == 1


async def test_an_orphan_that_still_runs_is_ended_by_the_next_start(tmp_path: Path) -> None:
    async with parent(tmp_path) as (pid, url):
        [master] = [process for process in marked(DataDir(tmp_path / "postgres").mark) if process.ppid() == pid]
        master.suspend()  # it gets the signal of its parent's death only when it is woken
    orphans = {process.pid for process in processes(tmp_path)}
    assert master.pid in orphans
    async with postgres.running(tmp_path / "postgres", fast=True) as url:
        assert await answer(url) == 1
        assert master.pid not in {process.pid for process in processes(tmp_path)}


async def test_ctrl_c_reaches_the_parent_only_and_it_ends_its_servers(tmp_path: Path) -> None:
    async with parent(tmp_path) as (pid, _):
        os.killpg(pid, signal.SIGINT)
        assert await until(lambda: not processes(tmp_path), END_SECONDS)
    assert "shut down" in (tmp_path / "postgres" / "server.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; the other tests run as the one we are")
async def test_an_ordinary_user_needs_nothing_special() -> None:
    nobody = pwd.getpwnam("nobody")
    place = Path("/var/tmp") / f"ringmaster-ordinary-{os.getpid()}"  # noqa: S108 a place every user can reach
    place.mkdir(mode=0o700)
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    try:
        async with parent(place, ORDINARY) as (_, url):
            assert await answer(url) == 1
            assert users(place) == {nobody.pw_uid}
        assert await until(lambda: not processes(place), END_SECONDS)
    finally:
        shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to let go of root")
async def test_root_without_user_namespaces_runs_it_as_nobody(tmp_path: Path) -> None:
    barred = tmp_path / "barred"
    barred.mkdir(mode=0o700)
    async with parent(barred, CONTAINED) as (_, url):
        assert await answer(url) == 1
        assert users(barred) == {pwd.getpwnam("nobody").pw_uid}
    assert await until(lambda: not processes(barred), END_SECONDS)
    # And back: with user namespaces the same data is root's again.
    async with postgres.running(barred / "postgres", fast=True) as url:
        assert await answer(url) == 1
        assert users(barred) == {0}
