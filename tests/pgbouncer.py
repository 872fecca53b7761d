"""Debian's PgBouncer in front of a PostgreSQL server of the tests."""

from __future__ import annotations

import asyncio
import shutil
import socket
from contextlib import asynccontextmanager
from enum import StrEnum
from signal import SIGTERM
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from ringmaster.local.ports import LOCALHOST, free_port
from ringmaster.local.process import SERVER_ENVIRONMENT, Child

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PROGRAM: Final = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
# What its manual calls the defaults, with a log that names each fault.
CONFIGURATION: Final = """
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
{more}
"""


class Mode(StrEnum):
    """How long a client keeps a session of the server."""

    SESSION = "session"
    TRANSACTION = "transaction"


@asynccontextmanager
async def pooled(url: str, mode: Mode, path: Path, *, size: int = 20, more: str = "") -> AsyncIterator[str]:
    """Run PgBouncer from the directory `path`, in front of the server of `url`; yields the address through it.

    `size` sessions of the server at most; `more` are further lines of its configuration.
    """
    if PROGRAM is None:
        pytest.skip("pgbouncer is not installed")
    server, port = urlsplit(url), free_port()
    text = CONFIGURATION.format(
        host=LOCALHOST, server_port=server.port, port=port, users=path / "users.txt", mode=mode, size=size, more=more
    )
    configuration = await asyncio.to_thread(_configured, path, text, f'"{server.username}" "{server.password}"\n')
    child = Child("pgbouncer", [PROGRAM, configuration], log=path / "log", environment=SERVER_ENVIRONMENT, owned=path)
    try:
        await child.ready(lambda: _listens(port))
        yield server._replace(netloc=f"{server.username}:{server.password}@{LOCALHOST}:{port}").geturl()
    finally:
        await child.end(SIGTERM)


def _configured(path: Path, text: str, users: str) -> Path:
    path.mkdir()
    (path / "users.txt").write_text(users)
    configuration = path / "pgbouncer.ini"
    configuration.write_text(text)
    return configuration


async def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOCALHOST, port)) == 0
