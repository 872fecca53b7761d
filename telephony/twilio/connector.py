"""The connections to Twilio, with a record of each exchange: was anything written, what was answered, by whom.

Whether bytes were written decides between `UnsentCall` and `UnansweredCall`. Only the body knows when that is about to happen.
"""

from __future__ import annotations

import base64
import select
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import aiohttp
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response

from telephony import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client import ClientTimeout
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from dialer.clock import Clock

KEEPALIVE_SECONDS: Final = 15.0
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_RETRY_AFTER_SECONDS: Final = 3600.0
STALE_CONNECTIONS: Final = 4
# Only Linux reports that the peer has closed its side before we read; elsewhere only a full close is reported.
PEER_CLOSED: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class DeadlinePassedError(Exception):
    """The connection was ready after the request's deadline, so nothing was sent."""


class ConnectionClosedError(Exception):
    """The peer closed every connection before anything was sent."""


class BodyTooLongError(Exception):
    """The response is longer than any of Twilio's."""


@dataclass(slots=True)
class Exchange:
    """A request, or several for one listing, and its response; `deadline` in seconds on the boot clock.

    `written` is kept for requests with a body. `code` is the provider's own, None when it did not write the response; `at` is its clock
    at the first response.
    """

    deadline: float
    written: bool = False
    status: int | None = None
    code: int | None = None
    retry_after_seconds: float | None = None
    at: datetime | None = None


EXCHANGE: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def exchange_until(deadline: float) -> Iterator[Exchange]:
    """Record the requests of this block; none of them is written after `deadline` (boot clock, seconds)."""
    exchange = Exchange(deadline)
    token = EXCHANGE.set(exchange)
    try:
        yield exchange
    finally:
        EXCHANGE.reset(token)


def _closed_by_peer(connection: Connection) -> bool:
    """Ask the kernel whether the peer has closed: the loop may not have noticed yet, and a POST would get no response."""
    socket = connection.transport.get_extra_info("socket") if connection.transport else None
    if socket is None or socket.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(socket.fileno(), PEER_CLOSED)
    return bool(poll.poll(0))


class PooledHttpClient(AsyncTwilioHttpClient):  # type: ignore[misc] # the library has no types
    """The library's asynchronous client over one pool; it stores and logs no request (the address of a listing contains numbers)."""

    def __init__(self, clock: Clock, connections: int) -> None:
        """Open at most `connections`; further requests wait, and have sent nothing meanwhile."""
        super().__init__(pool_connections=False)
        self._clock = clock
        connector = ConnectionPool(limit=connections, keepalive_timeout=KEEPALIVE_SECONDS)
        self.session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout())

    async def request(
        self,
        method: str,
        url: str,
        params: dict[str, str | int] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - the library's signature; callers bound it with asyncio.timeout
        allow_redirects: bool = False,  # noqa: ARG002, FBT001, FBT002 - the library's signature; never followed: a POST would be sent again
    ) -> Response:
        """Send one request, once, and read the whole response."""
        exchange = EXCHANGE.get()
        async with self.session.request(
            method,
            url,
            params=params or None,
            # A list of values is one field each, as Twilio wants StatusCallbackEvent; aiohttp's own form refuses it.
            data=DeadlineBody(urlencode(data, doseq=True).encode(), self._clock, exchange) if data else None,
            headers=_headers(headers, auth),
            allow_redirects=False,
        ) as response:
            if exchange is not None:
                exchange.status = response.status
                exchange.retry_after_seconds = _retry_after(response.headers.get("Retry-After", ""))
                exchange.at = exchange.at or _date(response.headers.get("Date", ""))
            body = await _body(response)
            if exchange is not None and not response.ok:
                exchange.code = refusals.own_code(response.status, body)
            return Response(response.status, body, response.headers)


class ConnectionPool(aiohttp.TCPConnector):
    """A pool that returns no connection the peer has closed."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:  # noqa: ASYNC109 - aiohttp's signature
        """Return an open connection.

        Raises:
            ConnectionClosedError: when the peer closes each connection as soon as it is open.
        """
        for _ in range(STALE_CONNECTIONS):
            connection = await super().connect(req, traces, timeout)
            if not _closed_by_peer(connection):
                return connection
            connection.close()
        raise ConnectionClosedError


class DeadlineBody(aiohttp.BytesPayload):
    """A body that is not written after its exchange's deadline, and records that it is being written.

    aiohttp writes the headers with the body, in one packet and in a task of its own, which may start many milliseconds after the connection
    is there. A check before that task would let a worker send that was frozen in between (protocol section 2).
    """

    def __init__(self, body: bytes, clock: Clock, exchange: Exchange | None) -> None:
        """Write `body` within `exchange`, or at any time without one."""
        super().__init__(body, content_type="application/x-www-form-urlencoded")
        self._clock = clock
        self._exchange = exchange

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write headers and body.

        Raises:
            DeadlinePassedError: when the deadline has passed; nothing was written.
        """
        if self._exchange is not None:
            if self._clock.boot() >= self._exchange.deadline:
                raise DeadlinePassedError
            self._exchange.written = True
        await super().write_with_length(writer, content_length)


def _headers(headers: dict[str, str] | None, auth: tuple[str, str] | None) -> dict[str, str]:
    if auth is None:
        return dict(headers or {})
    credentials = base64.b64encode(":".join(auth).encode()).decode()
    return {**(headers or {}), "Authorization": f"Basic {credentials}"}


def _date(text: str) -> datetime | None:
    """The peer's clock; None when the header is missing or malformed."""
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else None


def _retry_after(text: str) -> float | None:
    """Seconds to wait; the other form, a date, would compare two machines' clocks."""
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else None


async def _body(response: aiohttp.ClientResponse) -> str:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLongError
    return body.decode()
