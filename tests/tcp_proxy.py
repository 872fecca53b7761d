"""A TCP proxy between a client and a server of the tests: it can delay what passes, or accept and answer nothing.

On the road of a call: nowhere; between a process and its Redis.
"""

from __future__ import annotations

import asyncio
from typing import Self, cast
from urllib.parse import urlsplit

from ringmaster.local.data_dir import LOCALHOST


class TcpProxy:
    """Passes on to the server of `url`: each direction `delay_seconds` later; nothing at all while it is `hanging`."""

    def __init__(self, url: str, *, delay_seconds: float = 0.0) -> None:
        self._inner = urlsplit(url)
        self._open: set[asyncio.Transport] = set()
        self.delay_seconds = delay_seconds
        self.hanging = False

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Outer(self), LOCALHOST, 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for transport in list(self._open):
            transport.abort()

    @property
    def url(self) -> str:
        """The server's address, by way of this proxy."""
        user, _, _ = self._inner.netloc.rpartition("@")
        return self._inner._replace(netloc=f"{user}@{LOCALHOST}:{self._port}").geturl()

    @property
    def inner(self) -> tuple[str, int]:
        """Where the server is."""
        return self._inner.hostname or LOCALHOST, self._inner.port or 0

    def opened(self, transport: asyncio.Transport) -> None:
        """One more connection."""
        self._open.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        """One less."""
        self._open.discard(transport)

    def deliver(self, transport: asyncio.Transport, chunk: bytes) -> None:
        """Pass a piece on, in the order of the pieces; what comes while it hangs is lost, as its connection will be."""
        if not self.hanging:
            asyncio.get_running_loop().call_later(self.delay_seconds, _write, transport, chunk)


class _Side(asyncio.Protocol):
    """One side of a connection; `other` is where it passes to, and `early` what came before that was there."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.other: asyncio.Transport | None = None
        self.early: list[bytes] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.proxy.opened(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            self.proxy.deliver(self.other, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.proxy.closed(self.transport)
        if self.other is not None:
            self.other.close()


class _Outer(_Side):
    """The client's side: connects to the server when the client has."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_connection(self._inner, *self.proxy.inner)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def _inner(self) -> _Side:
        inner = _Side(self.proxy)
        inner.other = self.transport
        return inner

    async def _connect(self) -> None:
        try:
            transport, _ = await self._connecting
        except OSError:
            self.transport.close()
            return
        self.other = transport
        for chunk in self.early:
            self.proxy.deliver(transport, chunk)
        self.early.clear()


def _write(transport: asyncio.Transport, chunk: bytes) -> None:
    if not transport.is_closing():
        transport.write(chunk)
