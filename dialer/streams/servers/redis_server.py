"""One Redis or Valkey server: time-outs, the circuit breaker, and one error for every failure. The only importer of redis-py's client.

A server that hangs costs one caller a time-out; the others fail at once until a probe has been answered (circuit.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.exceptions import AskError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from dialer.concurrency.loop import UnavailableError
from dialer.messages import EVENTS
from dialer.streams.servers.circuit import Admission, CircuitBreaker
from dialer.streams.servers.outage_log import OutageLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dialer.clock import Clock

# Time-out of a command of a background duty; one that a person or a permit waits for has half of it.
QUICK_SECONDS = 1.0
FOREGROUND_SECONDS = 0.5
HANGS = "Redis hangs"
CLUSTERED = (
    "this Redis is a node of a cluster, whose other nodes have a part of the streams; "
    "write redis+cluster:// in place of redis:// (rediss+cluster:// in place of rediss://)"
)
CLOSED = "the connection is closed"

PROBE_KEY = f"dialer:probe:{{{EVENTS}}}"

log = logging.getLogger(__name__)

# A method of redis-py's client, called with the client; its answers are Any.
Command = Callable[..., Any]
Client = redis.Redis
# The host and port of a node of a cluster.
Place = tuple[str, int]


class RedisUnavailableError(UnavailableError):
    """Redis does not answer; use PostgreSQL alone until it does."""


class RedirectError(RedisUnavailableError):
    """The server does not have this slot: `place` (host and port) has it; when `asking`, only for a command after ASKING."""

    def __init__(self, slot: int, place: Place, *, asking: bool) -> None:
        """Of a cluster's answer MOVED, or ASK when `asking`."""
        super().__init__(CLUSTERED)
        self.slot = slot
        self.place = place
        self.asking = asking


@dataclass(frozen=True, slots=True)
class Step:
    """One command with its arguments."""

    command: Command
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent in one round trip: one command, or several if `steps` is a list."""

    steps: Step | list[Step]
    within_seconds: float = FOREGROUND_SECONDS
    # No person waits for it: it may probe whether a Redis that hung answers again.
    background: bool = False
    # It may wait in Redis for long.
    blocking: bool = False

    async def send(self, client: Client, *, asking: bool) -> Any:  # noqa: ANN401 - the answer of the command, or a list
        """Send it; `asking` for a slot that is on its way to this node."""
        if isinstance(self.steps, Step) and not asking:
            return await self.steps.command(client, *self.steps.arguments, **self.steps.options)
        steps = [self.steps] if isinstance(self.steps, Step) else self.steps
        pipeline = client.pipeline(transaction=False)
        for step in steps:
            if asking:
                pipeline.execute_command("ASKING")
            step.command(pipeline, *step.arguments, **step.options)
        answers = await pipeline.execute()
        answers = answers[1::2] if asking else answers
        return answers[0] if isinstance(self.steps, Step) else answers


class Server:
    """The connections to one server; `place` is its host and port, and `name` how logs call it."""

    def __init__(self, url: str, clock: Clock, tls: dict[str, Any], place: Place | None = None) -> None:
        """Connect to `url` on first use, with the options `tls` of redis-py; a node of a cluster has a `place`."""
        self.place = place or ("", 0)
        self.name = f"Redis {place[0]}:{place[1]}" if place else "Redis"
        self._clock = clock
        options: dict[str, Any] = {
            "decode_responses": True,
            # Other programs may write bytes that are not text into a public stream; they have to be readable, to be rejected.
            "encoding_errors": "replace",
            "socket_connect_timeout": QUICK_SECONDS,
            # A retried XADD could add twice, and a caller must not wait longer than its time-out.
            "retry": Retry(NoBackoff(), 0),
            **tls,
        }
        self._quick: Client = Client.from_url(url, socket_timeout=QUICK_SECONDS, **options)
        # A read that waits must not keep the connection of a command.
        self._blocking: Client = Client.from_url(url, socket_timeout=None, **options)
        self._circuit = CircuitBreaker(self._clock, self.name)
        self._outage = OutageLog(self.name)
        self._closed = False
        self._in_flight: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def admits(self) -> bool:
        """False while commands fail at once, since the server hangs."""
        return self._circuit.closed

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

    async def run(self, request: Request, *, asking: bool = False) -> Any:  # noqa: ANN401 - Redis answers whatever the command returns
        """Send a request and return its answer.

        Raises:
            RedirectError: when another node of the cluster has the key.
            RedisUnavailableError: when the server does not answer, or refuses.
        """
        if self._circuit.admit(background=request.background) is Admission.PROBE:
            await self._probe()
        if not self._circuit.closed:
            raise RedisUnavailableError(HANGS)
        return await self._send(request, asking=asking)

    async def _probe(self) -> None:
        """Send something quick, before a read that may block for long."""
        with self._circuit.probing(), suppress(RedisUnavailableError):
            await self._send(Request(Step(Client.ping, ())), asking=False)

    async def _send(self, request: Request, *, asking: bool) -> Any:  # noqa: ANN401 - as above
        sent_at = self._clock.boot()
        client = self._blocking if request.blocking else self._quick
        try:
            async with self._deadline(request.within_seconds):
                answer = await request.send(client, asking=asking)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, RedisTimeoutError | TimeoutError):
                self._circuit.timed_out(sent_at)
            else:
                # Refused, closed or an error: no caller has waited for the time-out.
                self._circuit.answered()
                if isinstance(error, RedisConnectionError | OSError):
                    self._outage.failed(error)
            if isinstance(error, AskError):
                raise RedirectError(error.slot_id, error.node_addr, asking=not isinstance(error, MovedError)) from error
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


class SingleServer:
    """The server that has every key."""

    def __init__(self, url: str, clock: Clock, tls: dict[str, Any]) -> None:
        """Connect to `url` on first use."""
        self._server = Server(url, clock, tls)
        self._misfit: str | None = None

    @property
    def admits(self) -> bool:
        """False while commands fail at once, since the server hangs."""
        return self._server.admits

    async def close(self) -> None:
        """Close every connection; later commands fail."""
        await self._server.close()

    async def at(self, key: str, *, background: bool) -> Server:  # noqa: ARG002 - as with a cluster
        """The server."""
        return self._server

    def follow(self, redirect: RedirectError, _: Server) -> Server:
        """Go nowhere else.

        Raises:
            RedirectError: always; nothing is lost, since the caller takes it for a Redis that is away.
        """
        if not self._misfit:
            self._misfit = CLUSTERED
            log.error("REDIS_URL: %s", CLUSTERED)
        raise redirect

    def doubt(self) -> None:
        """A command has failed; there is no other server to look for."""

    async def masters(self) -> list[Server]:
        """The server."""
        return [self._server]

    async def probe_keys(self) -> list[str]:
        """A key to write, to see whether the server takes writes."""
        return [PROBE_KEY]

    async def misfit(self) -> str:
        """Why the server cannot be used at this address: it is a node of a cluster. Empty when it can, or does not say."""
        if self._misfit is None:
            with suppress(RedisUnavailableError):
                found = await self._server.run(Request(Step(Client.info, ("cluster",)), QUICK_SECONDS, background=True))
                self._misfit = CLUSTERED if found.get("cluster_enabled") else ""
        return self._misfit or ""
