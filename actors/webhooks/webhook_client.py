"""Sends one event to one address, and returns the result.

Redirects are not followed: an address that has moved is entered anew, and none leads into a private network.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp

from actors.webhooks.public_resolver import PrivateAddressError, PublicResolver
from dialer.webhooks.targets import AllowedHosts, WrongTargetError, check_target
from sql.webhooks.deliveries import TryResult

if TYPE_CHECKING:
    from collections.abc import Mapping

TRY_SECONDS = 15.0
CONNECT_SECONDS = 5.0
KEEPALIVE_SECONDS = 15.0
# What is kept of a response, and shown.
MAX_BODY_BYTES = 2_048
AGENT = "Ringmaster-Webhooks/1"
GONE = 410
# By the first that fits: what is stored when there is no response.
ERRORS: tuple[tuple[type[BaseException], str], ...] = (
    (PrivateAddressError, "private"),
    (aiohttp.ClientConnectorDNSError, "unknown_host"),
    (aiohttp.ClientConnectorCertificateError, "certificate"),
    (aiohttp.ClientSSLError, "tls"),
    (TimeoutError, "time_out"),
    (aiohttp.ClientConnectorError, "refused"),
    (aiohttp.ClientPayloadError, "broken_response"),
    (aiohttp.ClientResponseError, "broken_response"),
    (aiohttp.ClientConnectionError, "disconnected"),
)


class WebhookClient:
    """HTTP for webhooks; how many requests are in flight is up to the caller."""

    def __init__(self, allowed: AllowedHosts, resolver: PublicResolver | None = None) -> None:
        """`allowed` are the hosts that may be private, and be asked by plain HTTP."""
        self._allowed = allowed
        self._resolver = resolver or PublicResolver(allowed)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> TryResult:
        """Send a body; anything but an answer of 200 to 299 within 15 s is a failure."""
        try:
            check_target(url, self._allowed)
            async with asyncio.timeout(TRY_SECONDS):
                return await self._send(url, headers, body)
        except WrongTargetError as error:
            return TryResult(delivered=False, error=str(error))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return TryResult(delivered=False, error=_name_of(error))

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def _send(self, url: str, headers: Mapping[str, str], body: str) -> TryResult:
        sent = {"Content-Type": "application/json", "User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
        async with self._opened().post(url, data=body.encode(), headers=sent, allow_redirects=False) as response:
            received = b""
            # The status is the answer; a body that breaks off afterwards changes nothing.
            with suppress(aiohttp.ClientError):
                while len(received) < MAX_BODY_BYTES and (piece := await response.content.read(MAX_BODY_BYTES - len(received))):
                    received += piece
            if not response.content.at_eof():
                response.close()
            return TryResult(
                delivered=200 <= response.status <= 299,  # noqa: PLR2004 - the successes of HTTP
                gone=response.status == GONE,
                response_status=response.status,
                response_body=received.decode(errors="replace").replace("\x00", ""),
            )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No limit of its own: one business must not wait for the connections of another. Bodies stay packed: a small one may unpack to
            # any size.
            connector = aiohttp.TCPConnector(
                resolver=self._resolver, use_dns_cache=False, limit=0, keepalive_timeout=KEEPALIVE_SECONDS, enable_cleanup_closed=True
            )
            timeout = aiohttp.ClientTimeout(total=TRY_SECONDS, sock_connect=CONNECT_SECONDS)
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=jar, auto_decompress=False, trust_env=False
            )
        return self._session


def _name_of(error: BaseException) -> str:
    causes = [error, getattr(error, "os_error", None), error.__cause__]
    return next((name for kind, name in ERRORS if any(isinstance(cause, kind) for cause in causes)), "disconnected")
