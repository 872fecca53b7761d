"""The directory a command keeps its data in: held by one command at a time, and what a killed one left in it ended.

Beside the road of a call.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ringmaster.local.child import end_marked
from ringmaster.local.data_dir import DataDir, DirectoryInUseError, EmbeddedServerError
from ringmaster.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVERS = ("postgres", "valkey")
SECRET_BYTES = 48
LOCK = "lock"


@asynccontextmanager
async def held(path: Path, what: str) -> AsyncIterator[DataDir]:
    """Hold the directory for the length of a block, as the home of one `what`; its `mark` is for our processes.

    Raises:
        RefusalError: when another command holds it, or it cannot be used.
    """
    place = DataDir(path)
    try:
        place.hold()
        await end_marked(place.mark, signal.SIGKILL)
    except DirectoryInUseError as error:
        message = f"{what} runs here already: {error}"
        raise RefusalError(message) from error
    except (OSError, EmbeddedServerError) as error:
        raise RefusalError(str(error)) from error
    try:
        yield place
    finally:
        place.release()


async def empty(place: DataDir) -> None:
    """Remove everything from a directory that is held, ending the servers a killed command may have left in it.

    Raises:
        RefusalError: when something cannot be ended or removed.
    """
    try:
        for server in SERVERS:
            await end_marked(DataDir(place.path / server).mark, signal.SIGKILL)
        for entry in place.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()
    except (OSError, EmbeddedServerError) as error:
        message = f"{place.path} cannot be emptied: {error}"
        raise RefusalError(message) from error


def secret_key(place: DataDir) -> str:
    """The installation's SECRET_KEY, drawn at the first use and kept in a file only its owner can read."""
    path = place.path / "secret_key"
    if not path.exists():
        draft = place.path / "secret_key.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(SECRET_BYTES))
        draft.replace(path)
    return path.read_text()
