"""Each way a POST can fail has its name: a raw server does the failing, one byte at a time."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest
from pydantic import SecretStr

from dialer.clock import SystemClock
from telephony.provider import Account, CallRequest, PlacedCall, PlaceResult, RefusedCall, UnansweredCall, UnsentCall
from telephony.twilio import connector
from telephony.twilio.client import TwilioProvider

if TYPE_CHECKING:
    from dialer.clock import Clock

SID: Final = "CA" + "1" * 32
TO: Final = "+97250000001"
TOKEN: Final = "a-very-secret-token"
ACCOUNT: Final = Account("AC" + "0" * 32, SecretStr(TOKEN))
REQUEST: Final = CallRequest(TO, "+97237000000", "https://x.example/t?r=nonce", "https://x.example/c?r=nonce", 30, 600)
PATIENCE_SECONDS: Final = 5.0
HASTE_SECONDS: Final = 1.0

Handler = Callable[["Peer", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def refusal(status: str, code: int) -> bytes:
    return answer(status, json.dumps({"code": code, "message": "no", "more_info": "", "status": int(status[:3])}).encode())


CREATED: Final = answer("201 Created", json.dumps({"sid": SID, "status": "queued"}).encode())


@dataclass
class Peer:
    """A server that does only what its handler does, and counts."""

    handler: Handler
    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Read one request whole."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        request = head + await reader.readexactly(length)
        self.requests.append(request)
        self.arrived.set()
        return request

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.handler(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.over.set()


@asynccontextmanager
async def peer(handler: Handler) -> AsyncIterator[Peer]:
    there = Peer(handler)
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield there
    finally:
        server.close()


@asynccontextmanager
async def provider(url: str, clock: Clock | None = None, connections: int = 8) -> AsyncIterator[TwilioProvider]:
    there = TwilioProvider(url, clock or SystemClock(), connections=connections)
    try:
        yield there
    finally:
        await there.close()


async def place(there: TwilioProvider, seconds: float = PATIENCE_SECONDS) -> PlaceResult:
    return await there.place(ACCOUNT, REQUEST, deadline=SystemClock().boot() + seconds)


def says(reply: bytes) -> Handler:
    """Read a request, say this, close."""

    async def handler(here: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await here.read(reader)
        writer.write(reply)
        await writer.drain()

    return handler


def keeps_saying(*replies: bytes) -> Handler:
    """Answer one request after the other on one connection, then close."""

    async def handler(here: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await here.read(reader)
            writer.write(reply)
            await writer.drain()

    return handler


async def keeps_silent(here: Peer, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await here.read(reader)
    await reader.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_the_request_is_what_twilio_asks_for() -> None:
    async with peer(says(CREATED)) as there, provider(there.url) as twilio:
        assert await place(twilio) == PlacedCall(SID, "queued")
    request = there.requests[0].decode()
    assert request.startswith(f"POST /2010-04-01/Accounts/{ACCOUNT.sid}/Calls.json HTTP/1.1\r\n")
    body = request.partition("\r\n\r\n")[2].split("&")
    assert {"To=%2B97250000001", "From=%2B97237000000", "Timeout=30", "TimeLimit=600", "StatusCallbackMethod=POST"} <= set(body)
    assert [part for part in body if part.startswith("StatusCallbackEvent=")] == [
        f"StatusCallbackEvent={event}" for event in ("initiated", "ringing", "answered", "completed")
    ]


async def test_refused_connection_is_not_sent() -> None:
    async with provider(f"http://127.0.0.1:{free_port()}") as twilio:
        result = await place(twilio)
    assert isinstance(result, UnsentCall)
    assert not result.throttled


async def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    async with provider("http://nobody.invalid") as twilio:
        assert isinstance(await place(twilio), UnsentCall)


async def test_a_server_that_does_not_speak_tls_is_not_sent() -> None:
    first = asyncio.get_running_loop().create_future()

    async def plain(_here: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first.set_result(await reader.read(1))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with peer(plain) as there, provider(there.url.replace("http", "https")) as twilio:
        assert isinstance(await place(twilio), UnsentCall)
        assert await first == b"\x16", "a TLS handshake and nothing else"


async def test_closed_at_once_is_never_taken_for_a_definite_answer() -> None:
    async def closes(_here: Peer, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with peer(closes) as there, provider(there.url) as twilio:
        assert isinstance(await place(twilio), UnsentCall | UnansweredCall)
        assert there.connections <= connector.STALE_CONNECTIONS


async def test_closed_after_reading_is_unanswered_and_sent_once() -> None:
    async with peer(says(b"")) as there, provider(there.url) as twilio:
        assert isinstance(await place(twilio), UnansweredCall)
        assert len(there.requests) == 1


async def test_silence_is_unanswered_at_the_deadline() -> None:
    clock = SystemClock()
    async with peer(keeps_silent) as there, provider(there.url) as twilio:
        start = clock.boot()
        assert await place(twilio, HASTE_SECONDS) == UnansweredCall("deadline")
        assert HASTE_SECONDS <= clock.boot() - start < PATIENCE_SECONDS
        assert len(there.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 201 Crea",
        b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n",
        answer("201 Created", b'{"sid": "CA', length=1_000),
        b"what is this\r\n\r\n",
        answer("201 Created", b'{"sid": "CA'),
        answer("201 Created", b""),
        answer("201 Created", b"[]"),
        answer("201 Created", b"null"),
        answer("201 Created", b'{"status": "queued"}'),
        answer("201 Created", b'{"sid": 7}'),
        answer("201 Created", b"\xff\xfe\xff"),
        answer("302 Found", b"", "Location: /elsewhere"),
        answer("307 Temporary Redirect", b"", "Location: /elsewhere"),
        refusal("500 Internal Server Error", 20500),
        refusal("502 Bad Gateway", 20502),
        refusal("503 Service Unavailable", 20503),
        answer("503 Service Unavailable", b"<html>"),
    ],
)
async def test_an_answer_that_proves_nothing_is_unanswered_and_sent_once(reply: bytes) -> None:
    async with peer(says(reply)) as there, provider(there.url) as twilio:
        assert isinstance(await place(twilio), UnansweredCall)
        assert (there.connections, len(there.requests)) == (1, 1)


async def test_half_an_answer_and_then_silence_is_unanswered() -> None:
    async def half(here: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await here.read(reader)
        writer.write(CREATED[:-5])
        await reader.read()

    async with peer(half) as there, provider(there.url) as twilio:
        assert isinstance(await place(twilio, HASTE_SECONDS), UnansweredCall)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("99999999", 3600.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)])
async def test_429_is_not_sent_and_says_how_long(header: str, seconds: float | None) -> None:
    reply = answer("429 Too Many Requests", b'{"code": 20429, "message": "Too Many Requests", "status": 429}', f"Retry-After: {header}")
    async with peer(says(reply)) as there, provider(there.url) as twilio:
        assert await place(twilio) == UnsentCall("HTTP 429, code 20429", seconds, throttled=True)
        assert len(there.requests) == 1


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (refusal("400 Bad Request", 21211), RefusedCall(21211, "no", 400)),
        (refusal("401 Unauthorized", 20003), RefusedCall(20003, "no", 401)),
        (refusal("404 Not Found", 20404), RefusedCall(20404, "no", 404)),
    ],
)
async def test_another_4xx_of_the_provider_is_definite(reply: bytes, result: RefusedCall) -> None:
    async with peer(says(reply)) as there, provider(there.url) as twilio:
        assert await place(twilio) == result
        assert len(there.requests) == 1


async def test_a_connection_is_used_again_and_one_that_was_closed_is_not() -> None:
    async with peer(keeps_saying(CREATED, CREATED)) as there, provider(there.url) as twilio:
        for expected in (1, 1):
            assert isinstance(await place(twilio), PlacedCall)
            assert there.connections == expected
        async with asyncio.timeout(PATIENCE_SECONDS):
            await there.over.wait()
        assert isinstance(await place(twilio), PlacedCall)
        assert (there.connections, len(there.requests)) == (2, 3)


async def test_a_connection_closed_on_the_second_request_is_unanswered_and_not_tried_again() -> None:
    async with peer(keeps_saying(CREATED, b"")) as there, provider(there.url) as twilio:
        assert isinstance(await place(twilio), PlacedCall)
        assert isinstance(await place(twilio), UnansweredCall)
        assert (there.connections, len(there.requests)) == (1, 2)


def blocking_server(listener: socket.socket, closed: threading.Event, requests: list[bytes]) -> None:
    """Answer one request a connection from a thread, so that the client's loop can be kept from seeing the close."""
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            requests.append(connection.recv(65_536))
            connection.sendall(CREATED)
        closed.set()


async def test_a_close_that_the_loop_has_not_read_yet_is_seen_before_sending() -> None:
    closed, requests = threading.Event(), list[bytes]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=blocking_server, args=(listener, closed, requests), daemon=True)
        thread.start()
        async with provider(f"http://127.0.0.1:{listener.getsockname()[1]}") as twilio:
            assert isinstance(await place(twilio), PlacedCall)
            # Blocks the loop on purpose: the close has reached the machine, but not the loop.
            assert closed.wait(PATIENCE_SECONDS)
            assert isinstance(await place(twilio), PlacedCall)
        thread.join(PATIENCE_SECONDS)
    assert len(requests) == 2


class ThawedClock(SystemClock):
    """A clock that jumps once it has been read so often: the worker was frozen there."""

    def __init__(self, reads: int, frozen_seconds: float) -> None:
        self._reads = reads
        self._frozen_seconds = frozen_seconds

    def boot(self) -> float:
        self._reads -= 1
        return super().boot() + (self._frozen_seconds if self._reads < 0 else 0)


async def test_frozen_while_connecting_sends_nothing() -> None:
    received = asyncio.get_running_loop().create_future()

    async def listens(_here: Peer, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.read())

    async with peer(listens) as there:
        async with provider(there.url, ThawedClock(reads=1, frozen_seconds=60)) as twilio:
            assert await place(twilio) == UnsentCall("deadline")
            assert not received.done(), "the connection was open when the deadline was found to have passed"
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await received == b""


async def test_waiting_for_a_connection_is_not_sent_at_the_deadline() -> None:
    async with peer(keeps_silent) as there, provider(there.url, connections=1) as twilio, asyncio.TaskGroup() as group:
        first = group.create_task(place(twilio, 4 * HASTE_SECONDS))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await there.arrived.wait()
        assert await place(twilio, HASTE_SECONDS) == UnsentCall("deadline")
        assert len(there.requests) == 1
        assert await first == UnansweredCall("deadline")


async def test_a_redirect_of_a_question_is_not_followed() -> None:
    async with peer(says(answer("302 Found", b"", "Location: /elsewhere"))) as there, provider(there.url) as twilio:
        assert await twilio.fetch(ACCOUNT, SID) is None
        assert len(there.requests) == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"calls": null}', b'{"calls": [{}]}', b'{"calls": [7]}', b'{"calls": "x", "more": "y"}']
)
async def test_a_listing_of_nonsense_is_not_complete(body: bytes) -> None:
    async with peer(says(answer("200 OK", body))) as there, provider(there.url) as twilio:
        listing = await twilio.list_calls(ACCOUNT, TO, REQUEST.from_, datetime.now(UTC))
        assert not listing.complete


async def test_nothing_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with peer(keeps_saying(CREATED, refusal("500 Internal Server Error", 20500), b"")) as there, provider(there.url) as twilio:
        await place(twilio)
        await twilio.list_calls(ACCOUNT, TO, REQUEST.from_, datetime.now(UTC))
        await place(twilio)
        shown = caplog.text + repr((ACCOUNT, REQUEST, twilio, vars(twilio)))
    assert caplog.records, "the listing that failed is logged"
    for secret in (TOKEN, TO, TO[1:], REQUEST.from_, "nonce"):
        assert secret not in shown
