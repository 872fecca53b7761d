"""Requests to the dialer, signed and retried as Twilio does.

Signed by our own code and not by Twilio's library, which the dialer verifies with: each implementation checks the other.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urldefrag

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialer.clock import Ids
    from telephony.simulator.accounts.account_directory import AccountDirectory

CONNECTIONS: Final = 100
MAX_RETRIES: Final = 5
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 0.5
# Twilio reads at most 64 KB of TwiML.
MAX_ANSWER_BYTES: Final = 64 * 1024
EVERY_REASON: Final = frozenset({"ct", "rt", "4xx", "5xx"})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to retry and when: `ct` no connection, `rt` no answer, `4xx`, `5xx`. By default once, for `ct`."""

    count: int = 1
    reasons: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, fragment: str) -> RetryPolicy:
        """Read the policy from an address' fragment, `rc=5&rp=all`."""
        options = dict(parse_qsl(fragment))
        count = options.get("rc", "1")
        reasons = frozenset(options.get("rp", "ct").split(","))
        return cls(
            count=min(int(count), MAX_RETRIES) if count.isascii() and count.isdigit() else 1,
            reasons=EVERY_REASON if "all" in reasons else reasons & EVERY_REASON,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request: a body, or the reason why it failed; how many real seconds it took with all tries."""

    failure: str | None
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Request:
    """A request as it goes out, however often."""

    method: str
    address: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def sign(address: str, form: Mapping[str, str], token: str, algorithm: str = "sha1") -> str:
    """The `X-Twilio-Signature`: base64 of the HMAC over the address and the sorted fields."""
    text = address + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), algorithm)).decode()


class Webhooks:
    """A pool of connections to the dialer. Create it inside a running loop, and close it."""

    def __init__(self, ids: Ids, accounts: AccountDirectory, speed: float) -> None:
        self._ids = ids
        self.accounts = accounts
        self._speed = speed
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close the pool."""
        await self._session.close()

    async def post(self, address: str, form: Mapping[str, str], account: str) -> Answer:
        """Post the form; see `send`."""
        return await self.send("POST", address, form, account)

    async def send(self, method: str, address: str, form: Mapping[str, str], account: str) -> Answer:
        """Send the form, signed as the account says; retry as the address' fragment says, with the same idempotency token.

        A GET carries the form in its address.
        """
        bare, fragment = urldefrag(address)
        retries = RetryPolicy.of(fragment)
        # yarl encodes in C, at a tenth of the time of urlencode.
        body = URL.build(query=form).raw_query_string
        if method == "GET":
            bare, body, form = f"{bare}{'&' if '?' in bare else '?'}{body}", "", {}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            **self.accounts.signature(account, bare, form),
            "I-Twilio-Idempotency-Token": str(self._ids.uuid()),
        }
        request = _Request(method, bare, body.encode(), headers)
        began = asyncio.get_running_loop().time()
        answer = await self._once(request)
        for again in range(retries.count):
            if answer.failure not in retries.reasons:
                break
            await asyncio.sleep(RETRY_SECONDS * 2**again / self._speed)
            answer = await self._once(request)
        return replace(answer, seconds=asyncio.get_running_loop().time() - began)

    async def _once(self, request: _Request) -> Answer:
        try:
            # Send the address byte for byte as it was given: it is signed.
            address = URL(request.address, encoded=True)
            async with self._session.request(
                request.method, address, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                text = await response.content.read(MAX_ANSWER_BYTES)
                return Answer(_failure(response.status), text, response.content_type if "Content-Type" in response.headers else "")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ValueError):
            # A ValueError: the address is malformed.
            return Answer("ct")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Answer("rt")


def _failure(status: int) -> str | None:
    if status < 300:  # noqa: PLR2004 - the class of successes
        return None
    return "5xx" if status >= 500 else "4xx"  # noqa: PLR2004 - the class of server errors
