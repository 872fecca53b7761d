"""The directory of an embedded server or of a command: its lock, its password, its log."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from ringmaster.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path

LOG_BYTES = 4 * 1024 * 1024  # a longer log is renamed at the next start; one old log is kept
PASSWORD_BYTES = 24


class EmbeddedServerError(CommandError):
    """An embedded server cannot be started, stopped or used; the message says which, where and why."""


class DirectoryInUseError(EmbeddedServerError):
    """Another living process works in the same directory."""


class DataDir:
    """A directory that at most one process may lock at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.log = self.path / "server.log"
        # In the title or command line of every process that works on it, so that those of a killed command can be found.
        self.mark = "ringmaster-" + hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()[:16]
        self._lock_fd: int | None = None

    def lock(self) -> None:
        """Lock the directory, creating it if needed; harmless when locked already. The kernel unlocks it when we die.

        Raises:
            DirectoryInUseError: when another process has locked it.
        """
        if self._lock_fd is not None:
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
        self._lock_fd = lock

    def unlock(self) -> None:
        """Unlock the directory; harmless when it is not locked."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def password(self) -> str:
        """The server's password; see `secret`."""
        return self.secret("password", PASSWORD_BYTES)

    def secret(self, name: str, length: int) -> str:
        """A random secret of `length` bytes, in base64; generated at the first use and kept in a file that only its owner can read."""
        path = self.path / name
        if not path.exists():
            draft = self.path / f"{name}.new"
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(length))
            draft.replace(path)
        return path.read_text()

    def rotate_log(self) -> None:
        """Rename a long log, so that no log grows for ever."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
