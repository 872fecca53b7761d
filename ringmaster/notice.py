"""The notice a running `python -m dialer up` leaves in its data directory: where its servers are, for the other commands.

Only its owner can read it: the address of the database holds its password.

Beside the road of a call.
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
def posted(data_dir: Path, database_url: str) -> Iterator[None]:
    """Leave the notice for the length of a block."""
    path = data_dir / NAME
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"pid": os.getpid(), "database_url": database_url}, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def database_url(data_dir: Path) -> str:
    """The address in the notice; empty when there is none, or when who left it has ended."""
    try:
        found = json.loads((data_dir / NAME).read_text())
    except (OSError, ValueError):
        return ""
    return str(found["database_url"]) if _runs(found["pid"]) else ""


def _runs(pid: int) -> bool:
    # Without psutil, which a server that only has a database does not need.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        pass
    return True
