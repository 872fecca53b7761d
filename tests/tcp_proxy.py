"""A TCP proxy between a client and a server of the tests: it can delay data, drop it, or refuse connections as a dead machine does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

from ringmaster.local.ports import LOCALHOST

if TYPE_CHECKING:
    import ssl

END_OF_HEADERS = b"\r\n\r\n"
LAST_RESPONSE = b"\r\nConnection: close\r\n\r\n"


class TcpProxy:
    """Forwards to the server of `url`: each direction `delay_seconds` later; while `hanging`, it accepts data and drops it.

    With `tls` it is spoken to by TLS, and speaks to the server without.
    """

    def __init__(self, url: str, *, delay_seconds: float = 0.0, tls: ssl.SSLContext | None = None) -> None:
        self._inner = urlsplit(url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._sides: set[_Side] = set()
        self._tls = tls
        self._over = False
        self.connecting: set[asyncio.Task[None]] = set()
        self.delay_seconds = delay_seconds
        self.hanging = False

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        self._over = True
        for task in self.connecting:
            task.cancel()
        await asyncio.gather(*self.connecting, return_exceptions=True)
        for side in list(self._sides):
            side.transport.abort()

    @property
    def url(self) -> str:
        """The server's address through this proxy."""
        user, at, _ = self._inner.netloc.rpartition("@")
        return self._inner._replace(netloc=f"{user}{at}{LOCALHOST}:{self._port}").geturl()

    @property
    def inner(self) -> tuple[str, int]:
        """The server's host and port."""
        return self._inner.hostname or LOCALHOST, self._inner.port or 0

    def move(self, url: str) -> None:
        """Forward new connections to another server, as an address does that has moved."""
        self._inner = urlsplit(url)

    async def accept(self) -> None:
        """Accept connections, always at the same port; harmless when it does already."""
        if self._server is None:
            self._server = await asyncio.get_running_loop().create_server(lambda: _Outer(self), LOCALHOST, self._port, ssl=self._tls)
            self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse connections from now on. An open HTTP connection closes after one more response, so no request is cut off."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for side in self._sides:
            side.closing = True

    def opened(self, side: _Side) -> None:
        """Count one more connection; one that was accepted as the proxy ended is cut."""
        self._sides.add(side)
        if self._over:
            side.transport.abort()

    def closed(self, side: _Side) -> None:
        """Count one less."""
        self._sides.discard(side)

    def deliver(self, transport: asyncio.Transport, chunk: bytes) -> None:
        """Forward a chunk in the order of arrival; data that arrives while hanging is lost, as its connection will be."""
        if not self.hanging:
            asyncio.get_running_loop().call_later(self.delay_seconds, _write, transport, chunk)


class _Side(asyncio.Protocol):
    """One side of a connection; `other` is the transport to forward to, `early` the data received before it was connected."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.other: asyncio.Transport | None = None
        self.early: list[bytes] = []
        self.closing = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.proxy.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            self.proxy.deliver(self.other, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.proxy.closed(self)
        if self.other is not None:
            self.other.close()


class _Inner(_Side):
    """The server's side."""

    def data_received(self, data: bytes) -> None:
        if self.closing and self.other is not None:
            # Every response of the simulator fits in one chunk.
            self.proxy.deliver(self.other, data.replace(END_OF_HEADERS, LAST_RESPONSE, 1))
            asyncio.get_running_loop().call_later(self.proxy.delay_seconds, self.transport.close)
        else:
            super().data_received(data)


class _Outer(_Side):
    """The client's side: connects to the server once the client is connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        task = asyncio.get_running_loop().create_task(self._connect())
        self.proxy.connecting.add(task)
        task.add_done_callback(self.proxy.connecting.discard)

    def _inner(self) -> _Inner:
        inner = _Inner(self.proxy)
        inner.other = self.transport
        inner.closing = self.closing
        return inner

    async def _connect(self) -> None:
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(self._inner, *self.proxy.inner)
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
