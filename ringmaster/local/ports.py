"""Ports of 127.0.0.1 to listen at: a free one, and a check of a given one."""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING

from ringmaster.errors import CommandError
from ringmaster.local.data_dir import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOCALHOST = "127.0.0.1"
# Below the range of outgoing connections, as Linux (32768) and IANA (49152) have it.
LOWEST_PORT = 20_000
PORTS = 12_000
PORT_TRIES = 20
LISTEN_TRIES = 3  # a port that was free may be taken before the server listens


class PortInUseError(EmbeddedServerError):
    """Another program listens at the port that was asked for."""


def free_port() -> int:
    """A port that no process listens at now, and that the kernel gives to no outgoing connection before it is used.

    The kernel's own choice is from the range of outgoing connections: one may take it a moment later.
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
    """Check that `port` can be listened at.

    Raises:
        PortInUseError: when it cannot.
    """
    try:
        with socket.create_server((LOCALHOST, port)):
            pass
    except OSError as error:
        message = f"port {port} of {LOCALHOST} cannot be used: {error.strerror}"
        raise PortInUseError(message) from error


async def listen(port: int | None, serve: Callable[[int], Awaitable[None]], taken: Callable[[], bool]) -> int:
    """Run `serve` at `port`; without one at a free port, with another if it turns out to be `taken`. Returns the port.

    Raises:
        PortInUseError: when `port` is given and taken.
        CommandError: what `serve` raises.
    """
    if port is not None:
        check_port(port)
        await serve(port)
        return port
    for _ in range(LISTEN_TRIES - 1):
        port = free_port()
        try:
            await serve(port)
        except CommandError:
            if not taken():
                raise
        else:
            return port
    port = free_port()
    await serve(port)
    return port
