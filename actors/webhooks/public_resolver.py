"""Resolves the names of webhooks for aiohttp, and leaves out private addresses: a connection goes to an address that was checked.

A name is resolved anew for each connection, and nothing is cached: who changes the answer afterwards changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aiohttp.abc import AbstractResolver, ResolveResult

from dialer.webhooks.targets import AllowedHosts, is_public

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Of its own: a name server that does not answer must not hold up what else uses threads.
LOOKUPS_AT_ONCE = 64


class PrivateAddressError(OSError):
    """The name resolves to private addresses only."""


class PublicResolver(AbstractResolver):
    """Public addresses only, but for the hosts of DIALER_WEBHOOK_ALLOWED_HOSTS."""

    def __init__(self, allowed: AllowedHosts, lookup: Callable[..., Sequence[tuple[Any, ...]]] = socket.getaddrinfo) -> None:
        """`lookup` answers as `socket.getaddrinfo` does."""
        self._allowed = allowed
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="webhook names")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """The addresses of a name that may be connected to.

        Raises:
            PrivateAddressError: when it has others only.
            OSError: when it has none.
        """
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._find, host, port, family)
        if (host, port) not in self._allowed:
            found = [one for one in found if is_public(one["host"])]
        if not found:
            raise PrivateAddressError(host)
        return found

    async def close(self) -> None:
        """Let no further lookup begin."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _find(self, host: str, port: int, family: int) -> list[ResolveResult]:
        flags = socket.AI_ADDRCONFIG
        return [
            # The scope of a link-local address is lost: it is private anyway.
            ResolveResult(hostname=host, host=str(place[0]), port=port, family=int(kind), proto=int(proto), flags=socket.AI_NUMERICHOST)
            for kind, _, proto, _, place in self._lookup(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
        ]
