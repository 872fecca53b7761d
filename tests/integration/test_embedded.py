"""The embedded servers keep their data through stops and crashes, and are never two in one place."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import stat
import subprocess
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING

import asyncpg
import pytest
import redis.asyncio

from ringmaster.local import postgres, valkey
from ringmaster.local.data_dir import DataDir, DirectoryInUseError, EmbeddedServerError
from ringmaster.local.orphans import marked
from ringmaster.local.ports import LOCALHOST, PortInUseError
from ringmaster.local.postgres import Postgres, Stop
from ringmaster.local.process import PRIORITY
from ringmaster.local.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


NAMELESS = 12345


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Postgres]:
    server = Postgres(tmp_path / "postgres")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Valkey]:
    store = Valkey(tmp_path / "valkey")
    await store.start()
    yield store
    await store.stop()


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def niceness(pid: int) -> int:
    return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])


def processes(path: Path) -> list[int]:
    return [process.pid for process in marked(DataDir(path).mark)]


async def test_postgres_is_safe_by_default(server: Postgres) -> None:
    asked = ["fsync", "synchronous_commit", "full_page_writes", "server_encoding", "timezone", "listen_addresses", "max_connections"]
    connection = await asyncpg.connect(server.url)
    found = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in asked}
    await connection.close()
    expected = ["on", "on", "on", "UTF8", "UTC", LOCALHOST, "200"]
    assert found == dict(zip(asked, expected, strict=True))


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/proc/self/autogroup").exists(), reason="only root may, and only where there are groups")
async def test_postgres_has_more_than_one_share_of_the_processors(server: Postgres) -> None:
    assert niceness(server.pid) == PRIORITY


async def test_postgres_wants_its_password(server: Postgres, tmp_path: Path) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url.replace("://ringmaster:", "://ringmaster:x"))
    assert stat.S_IMODE((tmp_path / "postgres" / "password").stat().st_mode) == 0o600


@pytest.mark.parametrize("how", [*Stop, None])
async def test_postgres_keeps_what_was_committed(server: Postgres, tmp_path: Path, how: Stop | None) -> None:
    url = server.url
    await ask(url, "CREATE TABLE kept AS SELECT 7 AS n")
    await (server.kill() if how is None else server.stop(how))
    assert processes(tmp_path / "postgres") == []
    await server.start()
    assert server.url == url
    assert await ask(url, "SELECT n FROM kept") == 7


async def test_a_second_server_in_the_same_place_is_refused(server: Postgres, store: Valkey, tmp_path: Path) -> None:
    with pytest.raises(DirectoryInUseError, match=f"process {os.getpid()}"):
        await Postgres(tmp_path / "postgres").start()
    with pytest.raises(DirectoryInUseError, match=f"process {os.getpid()}"):
        await Valkey(tmp_path / "valkey").start()
    assert await ask(server.url, "SELECT 1") == 1
    assert store.alive


async def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server((LOCALHOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port}"):
            await Postgres(tmp_path / "postgres", port).start()
        with pytest.raises(PortInUseError, match=f"port {port}"):
            await Valkey(tmp_path / "valkey", port).start()
    # The places are free again.
    async with valkey.running(tmp_path / "valkey", port) as url:
        assert url.endswith(f":{port}/0")


async def test_a_stale_pid_file_of_another_living_process_does_not_stop_the_start(tmp_path: Path) -> None:
    async with postgres.running(tmp_path / "postgres", fast=True):
        pass
    other_pid = os.getpid()
    notice = tmp_path / "postgres" / "cluster" / "postmaster.pid"
    notice.write_text(f"{other_pid}\n{notice.parent}\n1\n5432\n\n{LOCALHOST}\n  1  1\nready   \n")
    async with postgres.running(tmp_path / "postgres", fast=True) as url:
        assert await ask(url, "SELECT 1") == 1


async def test_a_first_start_cut_short_is_begun_again(tmp_path: Path) -> None:
    place = tmp_path / "postgres"
    (place / "cluster.new" / "base").mkdir(parents=True)
    (place / "cluster.new" / "PG_VERSION").write_text("18\n")
    async with postgres.running(place, fast=True):
        pass
    (place / "database").unlink()  # as if killed just before it was noted
    async with postgres.running(place, fast=True) as url:
        assert await ask(url, "SELECT current_database()") == "ringmaster"


async def test_a_cancelled_start_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "postgres"
    starting = asyncio.ensure_future(Postgres(place).start())
    async with asyncio.timeout(30):
        while not place.exists() or not processes(place):
            assert not starting.done()
            await asyncio.wait([starting], timeout=0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes(place) == []
    async with postgres.running(place) as url:
        assert await ask(url, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("allowed", [True, False], ids=["with namespaces", "without namespaces"])
def test_a_user_id_without_a_name_gets_one_or_is_told_what_helps(*, allowed: bool) -> None:
    """As a container that runs as any user id has it: initdb looks up the name of its user."""
    launcher = Path(postgres.__file__).with_name("launch.py").read_text()
    if not allowed:
        launcher = launcher.replace("CLONE_NEWUSER = 0x10000000", "CLONE_NEWUSER = -1")
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python that another user may start")
    # Its source, since another user cannot read ours when the checkout is root's.
    arguments = [python, "-I", "-S", "-c", launcher, str(os.getpid()), str(SIGKILL.value), "/nowhere", "/usr/bin/id", "-un"]
    told = subprocess.run(arguments, check=False, capture_output=True, text=True, cwd="/", user=NAMELESS, group=NAMELESS, extra_groups=[])
    # Most containers allow no namespace either.
    command = ["unshare", "--user", "true"]
    may = allowed and subprocess.run(command, check=False, user=NAMELESS, group=NAMELESS, extra_groups=[], cwd="/").returncode == 0
    assert (told.returncode == 0) is may, told.stderr
    if may:
        assert told.stdout.strip() in {user.pw_name for user in pwd.getpwall()}
    else:
        assert "initdb refuses the user id 12345" in told.stderr
        assert "DATABASE_URL and REDIS_URL" in told.stderr


async def test_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "cluster").mkdir(parents=True)
    (tmp_path / "postgres" / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedServerError, match="PostgreSQL 16"):
        await Postgres(tmp_path / "postgres").start()


async def test_valkey_keeps_and_never_evicts(store: Valkey, tmp_path: Path) -> None:
    async with redis.asyncio.from_url(store.url, decode_responses=True) as client:
        settings = await client.config_get("appendonly", "appendfsync", "maxmemory-policy")
        assert settings == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        await client.set("kept", "7")
    await store.restart()
    async with redis.asyncio.from_url(store.url, decode_responses=True) as client:
        assert await client.get("kept") == "7"
        await client.set("crossed", "8")
        await client.waitaof(1, 0, 5000)  # on file: what follows must not lose it
    await store.kill()
    assert processes(tmp_path / "valkey") == []
    await store.start()
    async with redis.asyncio.from_url(store.url, decode_responses=True) as client:
        assert (await client.get("kept"), await client.get("crossed")) == ("7", "8")


async def test_valkey_wants_its_password(store: Valkey, tmp_path: Path) -> None:
    async with redis.asyncio.from_url(store.url.replace("://:", "://:x")) as client:
        with pytest.raises(redis.exceptions.AuthenticationError):
            await client.ping()
    assert stat.S_IMODE((tmp_path / "valkey" / "valkey.conf").stat().st_mode) == 0o600


async def test_each_test_gets_databases_of_its_own(empty_database_url: str, redis_url: str, postgres: Postgres) -> None:
    assert await ask(empty_database_url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
    assert empty_database_url != postgres.url
    async with redis.asyncio.from_url(redis_url) as client:
        assert await client.dbsize() == 0
