"""The file that a running `python -m dialer up` keeps in its data directory: the addresses of its servers, for the other commands.

Only its owner can read it: the address contains the password.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "up.json"


@contextmanager
def posted(data_dir: Path, database_url: str, redis_url: str) -> Iterator[None]:
    """Keep the file for the length of a block."""
    path = data_dir / NAME
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"pid": os.getpid(), "database_url": database_url, "redis_url": redis_url}, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def database_url(data_dir: Path) -> str:
    """The address in the file; empty when there is none, or when the process that wrote it has ended."""
    return _field(data_dir, "database_url")


def redis_url(data_dir: Path) -> str:
    """The address of Redis, as `database_url`."""
    return _field(data_dir, "redis_url")


def _field(data_dir: Path, name: str) -> str:
    try:
        fields = json.loads((data_dir / NAME).read_text())
    except (OSError, ValueError):
        return ""
    return str(fields[name]) if _runs(fields["pid"]) else ""


def _runs(pid: int) -> bool:
    # Without psutil: requirements.txt does not include it.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs as another user
        pass
    return True
