"""The data directory of a command: locked by one command at a time, and cleared of the processes of a killed one."""

from __future__ import annotations

import shutil
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ringmaster.errors import CommandError
from ringmaster.local.data_dir import DataDir, DirectoryInUseError
from ringmaster.local.orphans import end_marked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVERS = ("postgres", "valkey")
SECRET_BYTES = 48
LOCK = "lock"


@asynccontextmanager
async def locked(path: Path, command: str) -> AsyncIterator[DataDir]:
    """Lock the directory for `command` for the length of a block, and end the processes that a killed command left behind.

    Raises:
        CommandError: when another command has locked it, or it cannot be used.
    """
    directory = DataDir(path)
    try:
        directory.lock()
        await end_marked(directory.mark, signal.SIGKILL)
    except DirectoryInUseError as error:
        message = f"{command} runs here already: {error}"
        raise CommandError(message) from error
    except OSError as error:
        raise CommandError(str(error)) from error
    try:
        yield directory
    finally:
        directory.unlock()


async def clear(directory: DataDir) -> None:
    """Remove everything from a locked directory, after ending the servers that a killed command may have left in it.

    Raises:
        CommandError: when something cannot be ended or removed.
    """
    try:
        for server in SERVERS:
            await end_marked(DataDir(directory.path / server).mark, signal.SIGKILL)
        for entry in directory.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()
    except OSError as error:
        message = f"{directory.path} cannot be emptied: {error}"
        raise CommandError(message) from error


def secret_key(directory: DataDir) -> str:
    """The installation's SECRET_KEY, generated at the first use."""
    return directory.secret("secret_key", SECRET_BYTES)
