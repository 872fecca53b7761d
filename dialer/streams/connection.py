"""A connection to Redis or Valkey, and the only importer of redis: time-outs, the circuit breaker, and one error for every failure.

A Redis that hangs costs one caller a time-out; the others fail at once until a probe has been answered (dialer/streams/circuit.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from dialer.clock import SystemClock
from dialer.concurrency.loop import UnavailableError
from dialer.messages import EVENTS
from dialer.streams.circuit import Admission, CircuitBreaker
from dialer.streams.outage_log import OutageLog, tls_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from dialer.clock import Clock

# Time-out of a command of a background duty; one that a person or a permit waits for has half of it.
QUICK_SECONDS = 1.0
FOREGROUND_SECONDS = 0.5
# A blocking read is given this much longer than it blocks.
READ_GRACE_SECONDS = 1.0
# Check at most this often whether Redis accepts writes.
WRITABLE_SECONDS = 1.0
PROBE_KEY = f"dialer:probe:{{{EVENTS}}}"
KEEP_PROBE_SECONDS = 60
MAX_ENTRIES_PER_READ = 1_000
# The id before every entry of a stream.
NOWHERE = "0-0"
HANGS = "Redis hangs"
CLOSED = "the connection is closed"

# The id of an entry of a stream, and its fields.
Entry = tuple[str, dict[str, str]]
# A method of redis-py: its answers are Any.
Command = Callable[..., Any]


class RedisUnavailableError(UnavailableError):
    """Redis does not answer; use PostgreSQL alone until it does."""


class RedisConnection:
    """The connections to one server, with what every stream needs of it."""

    def __init__(self, url: str, clock: Clock | None = None, ca_file: str = "") -> None:
        """Connect to `url` on first use; with `rediss://` to a server with a certificate of `ca_file`, or any with `none`."""
        self._clock = clock or SystemClock()
        options: dict[str, Any] = {
            "decode_responses": True,
            # Other programs may write bytes that are not text into a public stream; they have to be readable, to be rejected.
            "encoding_errors": "replace",
            "socket_connect_timeout": QUICK_SECONDS,
            # A retried XADD could add twice, and a caller must not wait longer than its time-out.
            "retry": Retry(NoBackoff(), 0),
            **(tls_options(ca_file) if url.startswith("rediss:") else {}),
        }
        self._quick: redis.Redis = redis.Redis.from_url(url, socket_timeout=QUICK_SECONDS, **options)
        self._blocking: redis.Redis = redis.Redis.from_url(url, socket_timeout=None, **options)
        self._circuit = CircuitBreaker(self._clock)
        self._writable, self._writable_at = True, -WRITABLE_SECONDS
        self._checking_writable = asyncio.Lock()
        self._outage = OutageLog()
        self._closed = False
        self._in_flight: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def close(self) -> None:
        """Close every connection; commands in flight and later ones fail.

        A command that is just connecting would otherwise leave its connection open: redis-py closes only those that are connected.
        """
        self._closed = True
        for deadline in self._in_flight:
            if not deadline.expired():
                deadline.reschedule(0)
        await self._idle.wait()
        await self._quick.aclose()
        await self._blocking.aclose()

    async def ping(self) -> bool:
        """True when Redis accepts a write within a second: a read-only one would lose every event."""
        try:
            await self._background(self._quick.set, PROBE_KEY, 1, ex=KEEP_PROBE_SECONDS)
            self._writable = True
        except RedisUnavailableError:
            self._writable = False
        self._writable_at = self._clock.boot()
        return self._writable

    async def can_write(self) -> bool:
        """Whether Redis accepts writes, checked within the last second; never raises."""
        async with self._checking_writable:
            if self._clock.boot() - self._writable_at >= WRITABLE_SECONDS:
                await self.ping()
        return self._writable and self._circuit.closed

    async def answers(self) -> bool:
        """True when Redis answers at all, even if it refuses writes."""
        try:
            await self._background(self._quick.time)
        except RedisUnavailableError:
            return False
        return True

    async def time(self) -> float:
        """Redis's clock, in seconds since 1970.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        seconds, microseconds = await self._background(self._quick.time)
        return float(seconds) + float(microseconds) / 1_000_000

    async def describe(self) -> dict[str, Any]:
        """What INFO says of the server; besides, as far as the server lets us ask, its setting `save`: when it writes a snapshot.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        found = dict(await self._background(self._quick.info))
        with suppress(RedisUnavailableError):
            found |= await self._background(self._quick.config_get, "save")
        return found

    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:  # noqa: ANN401 - Redis answers whatever the script returns
        """Run a script on the server, for the rate limiter.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        return await self._run(self._quick.eval, script, len(keys), *keys, *arguments)

    async def _read(
        self, positions: dict[str, str], block_seconds: float, limit: int = MAX_ENTRIES_PER_READ
    ) -> list[tuple[str, list[Entry]]]:
        limits = {"count": limit, "block": max(int(block_seconds * 1000), 1)}
        found = await self._background(self._blocking.xread, positions, **limits, within_seconds=block_seconds + READ_GRACE_SECONDS)
        return list(found.items()) if isinstance(found, dict) else list(found or [])

    async def _background(self, command: Command, *arguments: Any, within_seconds: float = QUICK_SECONDS, **options: Any) -> Any:  # noqa: ANN401
        """Run a command that no person waits for; it may probe whether a Redis that hung answers again."""
        if self._circuit.admit(background=True) is Admission.PROBE:
            await self._probe()
        return await self._run(command, *arguments, within_seconds=within_seconds, **options)

    async def _run(self, command: Command, *arguments: Any, within_seconds: float = FOREGROUND_SECONDS, **options: Any) -> Any:  # noqa: ANN401
        if self._circuit.admit(background=False) is Admission.PROBE:
            await self._probe()
        if not self._circuit.closed:
            raise RedisUnavailableError(HANGS)
        return await self._send(command, arguments, options, within_seconds)

    async def _probe(self) -> None:
        """Send something quick, before a read that may block for long."""
        with self._circuit.probing(), suppress(RedisUnavailableError):
            await self._send(self._quick.ping, (), {}, FOREGROUND_SECONDS)

    async def _send(self, command: Command, arguments: tuple[Any, ...], options: dict[str, Any], within_seconds: float) -> Any:  # noqa: ANN401
        sent_at = self._clock.boot()
        try:
            async with self._deadline(within_seconds):
                answer = await command(*arguments, **options)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, RedisTimeoutError | TimeoutError):
                self._circuit.timed_out(sent_at)
            else:
                # Refused, closed or an error: no caller has waited for the time-out.
                self._circuit.answered()
                if isinstance(error, RedisConnectionError | OSError):
                    self._outage.failed(error)
            raise RedisUnavailableError(type(error).__name__) from error
        self._circuit.answered()
        self._outage.answered()
        return answer

    @asynccontextmanager
    async def _deadline(self, within_seconds: float) -> AsyncIterator[None]:
        """The time-out of one command, which `close` may bring forward."""
        if self._closed:
            raise RedisUnavailableError(CLOSED)
        async with asyncio.timeout(within_seconds) as deadline:
            self._in_flight.add(deadline)
            self._idle.clear()
            try:
                yield
            finally:
                self._in_flight.discard(deadline)
                if not self._in_flight:
                    self._idle.set()
