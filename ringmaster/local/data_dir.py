"""The directory of an embedded server: who holds it, its password, its log; and a port to listen at.

Stands beside the road of a call: where the servers that the road runs over keep what they know.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOCALHOST = "127.0.0.1"
# Below the range of outgoing connections, as Linux (32768) and IANA (49152) have it.
LOWEST_PORT = 20_000
PORTS = 12_000
PORT_TRIES = 20
LOG_BYTES = 4 * 1024 * 1024  # a log longer than this is put aside at the next start; one old one is kept
PASSWORD_BYTES = 24
TAIL_BYTES = 2000


class EmbeddedServerError(Exception):
    """An embedded server cannot be started, stopped or used; the message says which, where and why."""


class DirectoryInUseError(EmbeddedServerError):
    """Another living process runs a server from the same directory."""


class PortInUseError(EmbeddedServerError):
    """Another program listens at the port that was asked for."""


class DataDir:
    """A directory with a server's files, held by at most one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.log = self.path / "server.log"
        # In the title of every process of the server: how those of a run that was killed are found again.
        self.mark = "ringmaster-" + hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()[:16]
        self._lock: int | None = None

    def hold(self) -> None:
        """Take the directory, making it if need be; harmless when held already. The kernel lets go of it when we die.

        Raises:
            DirectoryInUseError: when another process holds it.
        """
        if self._lock is not None:
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            message = f"{self.path} is in use by process {holder}; stop that one, or give this one another directory (DIALER_DATA_DIR)"
            raise DirectoryInUseError(message) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def release(self) -> None:
        """Let go of the directory; harmless when not held."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def password(self) -> str:
        """The server's password, drawn at the first use and kept in a file only its owner can read."""
        path = self.path / "password"
        if not path.exists():
            draft = self.path / "password.new"
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(PASSWORD_BYTES))
            draft.replace(path)
        return path.read_text()

    def turn_log(self) -> None:
        """Put a long log aside, so that no log grows for ever."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def log_tail(self) -> str:
        """The end of the log, at most 2,000 bytes of it."""
        if not self.log.exists():
            return "(no log)"
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").strip()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at now, and that the kernel gives to no outgoing connection before it is used.

    The kernel's own choice is of the ports that outgoing connections get too: one may have it a moment later.
    """
    for _ in range(PORT_TRIES):
        port = LOWEST_PORT + secrets.randbelow(PORTS)
        try:
            check_port(port)
        except PortInUseError:
            continue
        return port
    with socket.create_server((LOCALHOST, 0)) as listener:
        return int(listener.getsockname()[1])


def check_port(port: int) -> None:
    """See that `port` can be listened at.

    Raises:
        PortInUseError: when it cannot.
    """
    try:
        with socket.create_server((LOCALHOST, port)):
            pass
    except OSError as error:
        message = f"port {port} of {LOCALHOST} cannot be used: {error.strerror}"
        raise PortInUseError(message) from error
