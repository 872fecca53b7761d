"""Calls placed with Twilio, and our name for each way that can fail.

What was written to a socket decides between `NotSent` and `Unanswered`, so the connector says when that is about to happen;
nothing else knows. The library is untyped: nothing of it leaves this file.

On the road of a call: `actors/call.py` places through here; Twilio's answer or the lack of it goes back as one of four results.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import select
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import aiohttp
from twilio.base import values
from twilio.base.exceptions import TwilioException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from telephony.provider import CallFacts, Listing, NotSent, Placed, Refused, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.client import ClientTimeout
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from dialer.ports import Clock
    from telephony.provider import Account, CallRequest, PlaceResult

log = logging.getLogger(__name__)

CONNECTIONS: Final = 128
KEEPALIVE_SECONDS: Final = 15.0
ASK_SECONDS: Final = 10.0
LISTING_SECONDS: Final = 30.0
LISTING_PAGES: Final = 50
PAGE_SIZE: Final = 200
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_RETRY_AFTER_SECONDS: Final = 3600.0
MAX_MESSAGE_CHARACTERS: Final = 500
STALE_CONNECTIONS: Final = 4

EVENTS: Final = ["initiated", "ringing", "answered", "completed"]
# Twilio 21220: the call is not in a state that can change, which for a hang-up means that it is over.
CALL_IS_OVER: Final = 21220
TOO_MANY_REQUESTS: Final = 429
# Only Linux tells that the other side has closed before we have read it; elsewhere a hang-up of both sides is seen.
PEER_CLOSED: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class DeadlinePassedError(Exception):
    """The connection was open too late for its request, so nothing was sent."""


class ConnectionClosedError(Exception):
    """The other side closed every connection before anything was sent."""


class BodyTooLongError(Exception):
    """The answer is longer than any answer of Twilio."""


@dataclass(slots=True)
class Exchange:
    """One POST and what became of it; `deadline` in seconds on the boot clock."""

    deadline: float
    written: bool = False
    status: int | None = None
    retry_after_seconds: float | None = None


EXCHANGE: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class TwilioProvider:
    """The `Provider` over Twilio's REST API. Make it inside a running loop, share it, close it."""

    def __init__(self, api_url: str, clock: Clock, *, connections: int = CONNECTIONS) -> None:
        """Speak to `api_url` over at most `connections` pooled connections."""
        self._api_url = api_url
        self._clock = clock
        self._http = PooledHttpClient(GuardedConnector(clock, connections))

    async def place(self, account: Account, request: CallRequest, *, deadline: float) -> PlaceResult:
        """Ask Twilio for one call, once, and name what happened; see `Provider.place`."""
        left = deadline - self._clock.boot()
        if left <= 0:
            return NotSent("the deadline had passed")
        with _exchange(deadline) as exchange:
            try:
                async with asyncio.timeout(left):
                    call = await self._calls(account).create_async(**_parameters(request))
            except Exception as error:  # noqa: BLE001 - whatever went wrong, what was written decides what it means
                return _failure(exchange, error)
        return Placed(call.sid, str(call.status)) if isinstance(call.sid, str) and call.sid else Unanswered("the answer names no call")

    async def fetch(self, account: Account, sid: str) -> CallFacts | None:
        """Ask Twilio for one call; see `Provider.fetch`."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return _facts(await self._calls(account)(sid).fetch_async())
        except (TwilioException, *UNUSABLE) as error:
            log.warning("no usable answer about call %s: %s", sid, _reason(error))
            return None

    async def list_calls(self, account: Account, to: str | None, from_: str, since: datetime) -> Listing:
        """Ask Twilio for the calls between two numbers; see `Provider.list_calls`."""
        calls: list[CallFacts] = []
        complete = False
        # Twilio counts in whole seconds: a call of 12:00:00.9 is listed as of 12:00:00.
        start = since.replace(microsecond=0)
        try:
            async with asyncio.timeout(LISTING_SECONDS):
                complete = await self._read_pages(account, to, from_, start, calls)
        except (TwilioException, *UNUSABLE) as error:
            log.warning("a listing of calls is not complete: %s", _reason(error))
        return Listing(tuple(call for call in calls if call.created_at is None or call.created_at >= start), complete)

    async def hang_up(self, account: Account, sid: str, *, live: bool = True) -> bool:
        """End a call at Twilio; see `Provider.hang_up`."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                call = await self._calls(account)(sid).update_async(status="completed" if live else "canceled")
        except (TwilioException, *UNUSABLE) as error:
            if getattr(error, "code", None) == CALL_IS_OVER:
                return True
            log.warning("call %s was not hung up: %s", sid, _reason(error))
            return False
        # `canceled` leaves an answered call alone, and is no error then.
        return live or call.status != "in-progress"

    async def close(self) -> None:
        """Close the pool of connections."""
        await self._http.close()

    async def _read_pages(self, account: Account, to: str | None, from_: str, start: datetime, calls: list[CallFacts]) -> bool:
        page = await self._calls(account).page_async(to=to or values.unset, from_=from_, page_size=PAGE_SIZE)
        for _ in range(LISTING_PAGES):
            calls.extend(_facts(item) for item in page)
            if calls and calls[-1].created_at is not None and calls[-1].created_at < start:
                return True
            page = await page.next_page_async()
            if page is None:
                return True
        return False

    def _calls(self, account: Account) -> Any:  # noqa: ANN401 - the library has no types
        # An environment of our own: the library would otherwise take a region from the process's and rewrite the address.
        token = account.auth_token.get_secret_value()
        client = Client(account.sid, token, http_client=self._http, environment={"TWILIO_EDGE": "", "TWILIO_REGION": ""})
        client.api.base_url = self._api_url
        return client.calls


class PooledHttpClient(AsyncTwilioHttpClient):  # type: ignore[misc] # the library has no types
    """The library's asynchronous client over one pool; it keeps and logs no request (the address of a listing carries numbers)."""

    def __init__(self, connector: GuardedConnector) -> None:
        """Send through `connector`, which is closed with this client."""
        super().__init__(pool_connections=False)
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
        """Send one request, once, and read its answer whole."""
        exchange = EXCHANGE.get()
        async with self.session.request(
            method,
            url,
            params=params or None,
            # A list of values is one field each, as Twilio wants StatusCallbackEvent; aiohttp's own form refuses it.
            data=urlencode(data, doseq=True).encode() if data else None,
            headers=_headers(headers, auth),
            allow_redirects=False,
        ) as response:
            if exchange is not None:
                exchange.status = response.status
                exchange.retry_after_seconds = _retry_after(response.headers.get("Retry-After", ""))
            return Response(response.status, await _body(response), response.headers)


class GuardedConnector(aiohttp.TCPConnector):
    """A pool that hands no connection out after its request's deadline, nor one that the other side has closed, and says when it does.

    A check before connecting is not enough: a worker frozen while connecting would send late (protocol section 2).
    """

    def __init__(self, clock: Clock, limit: int) -> None:
        """Keep at most `limit` connections; a request beyond it waits for one and has then sent nothing."""
        super().__init__(limit=limit, keepalive_timeout=KEEPALIVE_SECONDS)
        self._clock = clock

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:  # noqa: ASYNC109 - aiohttp's signature
        """Give a connection to write to at once.

        Raises:
            DeadlinePassedError: when the request's deadline has passed.
            ConnectionClosedError: when the other side closes each connection as soon as it is there.
        """
        for _ in range(STALE_CONNECTIONS):
            connection = await super().connect(req, traces, timeout)
            if not _closed_by_peer(connection):
                self._permit_writing(connection)
                return connection
            connection.close()
        raise ConnectionClosedError

    def _permit_writing(self, connection: Connection) -> None:
        exchange = EXCHANGE.get()
        if exchange is None:
            return
        if self._clock.boot() >= exchange.deadline:
            connection.release()
            raise DeadlinePassedError
        exchange.written = True


UNUSABLE: Final = (
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ConnectionClosedError,
    BodyTooLongError,
)


@contextmanager
def _exchange(deadline: float) -> Iterator[Exchange]:
    exchange = Exchange(deadline)
    token = EXCHANGE.set(exchange)
    try:
        yield exchange
    finally:
        EXCHANGE.reset(token)


def _closed_by_peer(connection: Connection) -> bool:
    """Ask the kernel: the loop may not have read yet that the other side closed, and a POST into such a connection has no answer."""
    socket = connection.transport.get_extra_info("socket") if connection.transport else None
    if socket is None or socket.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(socket.fileno(), PEER_CLOSED)
    return bool(poll.poll(0))


def _failure(exchange: Exchange, error: Exception) -> PlaceResult:
    """Name what a POST without a call's name means; design section 8."""
    status = exchange.status
    if status == TOO_MANY_REQUESTS:
        # Twilio 20429: not processed, safe to retry after backing off.
        return NotSent("429", exchange.retry_after_seconds, throttled=True)
    if status is not None and 400 <= status < 500:  # noqa: PLR2004 - the class of client errors
        return Refused(_code(error), _message(error), status)
    if status is not None:
        return Unanswered(f"HTTP {status}")
    return Unanswered(_reason(error)) if exchange.written else NotSent(_reason(error))


def _reason(error: BaseException) -> str:
    """Say why without a number, an address or a token: an exception's own text may hold any of them."""
    if isinstance(error, TimeoutError | DeadlinePassedError):
        return "deadline"
    status = getattr(error, "status", None)
    if isinstance(error, TwilioException) and status:
        return f"HTTP {status}, code {_code(error)}"
    system = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return type(error).__name__ + system


def _code(error: BaseException) -> int | None:
    code = getattr(error, "code", None)
    return code if isinstance(code, int) and code != getattr(error, "status", None) else None


def _message(error: BaseException) -> str:
    text = getattr(error, "msg", None) or getattr(error, "detail", None) or getattr(error, "title", None) or ""
    return str(text).removeprefix("Unable to create record: ")[:MAX_MESSAGE_CHARACTERS]


def _headers(headers: dict[str, str] | None, auth: tuple[str, str] | None) -> dict[str, str]:
    if auth is None:
        return dict(headers or {})
    credentials = base64.b64encode(":".join(auth).encode()).decode()
    return {**(headers or {}), "Authorization": f"Basic {credentials}"}


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


def _parameters(request: CallRequest) -> dict[str, object]:
    parameters: dict[str, object] = {
        "to": request.to,
        "from_": request.from_,
        "url": request.url,
        "status_callback": request.status_callback,
        "status_callback_event": EVENTS,
        "status_callback_method": "POST",
        "timeout": request.ring_timeout_seconds,
        "time_limit": request.time_limit_seconds,
    }
    if request.machine_detection is not None:
        parameters["machine_detection"] = request.machine_detection
    if request.record:
        parameters["record"] = True
    return parameters


def _facts(call: Any) -> CallFacts:  # noqa: ANN401 - the library has no types
    if not call.sid or not call.status:
        message = "a call without sid or status"
        raise ValueError(message)
    return CallFacts(
        sid=call.sid,
        status=str(call.status),
        to=call.to or "",
        from_=call._from or "",  # noqa: SLF001 - the library's name for `from`, a keyword
        created_at=_time(call.date_created),
        started_at=_time(call.start_time),
        ended_at=_time(call.end_time),
        duration_seconds=int(call.duration) if call.duration else None,
        answered_by=call.answered_by or None,
    )


def _time(value: object) -> datetime | None:
    """A date the library could not read comes back as text: then it is not known."""
    return value if isinstance(value, datetime) else None
