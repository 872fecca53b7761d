"""The connection to Redis or Valkey, one server or a cluster, with what every stream needs of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dialer.addresses import is_cluster
from dialer.clock import SystemClock
from dialer.messages import EVENTS
from dialer.streams.servers.cluster import ClusterServers
from dialer.streams.servers.outage_log import tls_options
from dialer.streams.servers.redis_server import (
    FOREGROUND_SECONDS,
    QUICK_SECONDS,
    Client,
    Command,
    RedirectError,
    RedisUnavailableError,
    Request,
    Server,
    SingleServer,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dialer.clock import Clock

__all__ = ["MAX_ENTRIES_PER_READ", "NOWHERE", "Client", "Entry", "RedisConnection", "RedisUnavailableError", "Step"]

# A blocking read is given this much longer than it blocks.
READ_GRACE_SECONDS = 1.0
# Check at most this often whether Redis accepts writes.
WRITABLE_SECONDS = 1.0
KEEP_PROBE_SECONDS = 60
MAX_ENTRIES_PER_READ = 1_000
# A slot may move twice while a command looks for it, not more.
MAX_REDIRECTS = 3
# The id before every entry of a stream.
NOWHERE = "0-0"

# The id of an entry of a stream, and its fields.
Entry = tuple[str, dict[str, str]]


class RedisConnection:
    """The connections to one server or one cluster. The keys of a request have one slot."""

    def __init__(self, url: str, clock: Clock | None = None, ca_file: str = "") -> None:
        """Connect to `url` on first use; with `rediss://` to a server with a certificate of `ca_file`, or any with `none`."""
        self._clock = clock or SystemClock()
        tls = tls_options(ca_file) if url.startswith("rediss") else {}
        self._servers: SingleServer | ClusterServers = (ClusterServers if is_cluster(url) else SingleServer)(url, self._clock, tls)
        self._writable, self._writable_at = True, -WRITABLE_SECONDS
        self._checking_writable = asyncio.Lock()
        # What Redis said when it last refused a write; "" while it takes them.
        self.refusal = ""

    async def close(self) -> None:
        """Close every connection; commands in flight and later ones fail."""
        await self._servers.close()

    async def ping(self) -> bool:
        """True when Redis accepts writes within a second, in a cluster every master: a read-only one would lose every event."""
        try:
            self.refusal = ""
            fit = not await self._servers.misfit()
            keys = await self._servers.probe_keys()
            written = await asyncio.gather(*map(self._write, keys))
            self._writable = fit and all(written)
        except RedisUnavailableError:
            self._writable = False
        self._writable_at = self._clock.boot()
        return self._writable

    async def _write(self, key: str) -> bool:
        try:
            await self._background(Client.set, key, 1, ex=KEEP_PROBE_SECONDS)
        except RedisUnavailableError as error:
            self.refusal = str(error)
            return False
        return True

    async def can_write(self) -> bool:
        """Whether Redis accepts writes, checked within the last second; never raises."""
        async with self._checking_writable:
            if self._clock.boot() - self._writable_at >= WRITABLE_SECONDS:
                await self.ping()
        return self._writable and self._servers.admits

    async def answers(self) -> bool:
        """True when Redis answers at all, even if it refuses writes; in a cluster, every master."""
        times = await self.times()
        return bool(times) and all(isinstance(at, float) for at in times.values())

    async def answers_in_part(self) -> bool:
        """True when some masters of a cluster answer."""
        return any(isinstance(at, float) for at in (await self.times()).values())

    async def misfit(self) -> str:
        """Why the address cannot be used: a node of a cluster at a plain one, or the reverse. Empty when it can, or nothing answers."""
        return await self._servers.misfit()

    async def time(self, key: str = EVENTS) -> float:
        """The clock of the server that has this key, in seconds since 1970.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        return _seconds(await self._background(Client.time, key=key))

    async def times(self) -> dict[str, float | str]:
        """The clock of each server by its name, in seconds since 1970, or why it does not tell; none when none is known."""
        times: dict[str, float | str] = {}
        with suppress(RedisUnavailableError):
            for server in await self._servers.masters():
                try:
                    times[server.name] = _seconds(await _ask(server, Client.time))
                except RedisUnavailableError as error:
                    times[server.name] = str(error)
        return times

    async def describe(self) -> dict[str, dict[str, Any]]:
        """What INFO says of each server, by its name: `Redis`, in a cluster `Redis HOST:PORT` of each master.

        Besides, as far as a server lets us ask, its setting `save`: when it writes a snapshot.

        Raises:
            RedisUnavailableError: when one does not answer; it is named in the message.
        """
        described = {}
        for server in await self._servers.masters():
            described[server.name] = dict(await _ask(server, Client.info))
            with suppress(RedisUnavailableError):
                described[server.name] |= await _ask(server, Client.config_get, "save")
        return described

    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:  # noqa: ANN401 - Redis answers whatever the script returns
        """Run a script on the server that has the keys (at least one), for the rate limiter.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        return await self._run(Client.eval, script, len(keys), *keys, *arguments, key=keys[0])

    async def _read(
        self, positions: dict[str, str], block_seconds: float, limit: int = MAX_ENTRIES_PER_READ
    ) -> list[tuple[str, list[Entry]]]:
        """Wait for entries of these streams, all of one slot, after these ids."""
        limits = {"count": limit, "block": max(int(block_seconds * 1000), 1)}
        step = Step(Client.xread, (positions,), limits)
        request = Request(step, block_seconds + READ_GRACE_SECONDS, background=True, blocking=True)
        found = await self._request(next(iter(positions)), request)
        return list(found.items()) if isinstance(found, dict) else list(found or [])

    async def _background(self, command: Command, *arguments: Any, key: str = "", **options: Any) -> Any:  # noqa: ANN401 - as above
        """Run a command that no person waits for; its first argument is its key unless `key` names one of the same slot."""
        request = Request(Step(command, arguments, options), QUICK_SECONDS, background=True)
        return await self._request(key or arguments[0], request)

    async def _run(self, command: Command, *arguments: Any, key: str = "", **options: Any) -> Any:  # noqa: ANN401 - as above
        return await self._request(key or arguments[0], Request(Step(command, arguments, options)))

    async def _run_all(self, key: str, steps: list[Step]) -> None:
        """Run commands with keys of this one's slot in one round trip."""
        await self._request(key, Request(steps, FOREGROUND_SECONDS))

    async def _request(self, key: str, request: Request) -> Any:  # noqa: ANN401 - as above
        server = await self._servers.at(key, background=request.background)
        asking = False
        for _ in range(MAX_REDIRECTS):
            try:
                return await server.run(request, asking=asking)
            except RedirectError as redirect:
                server, asking = self._servers.follow(redirect, server), redirect.asking
            except RedisUnavailableError:
                self._servers.doubt()
                raise
        message = "the key moves from node to node"
        raise RedisUnavailableError(message)


async def _ask(server: Server, command: Command, *arguments: Any) -> Any:  # noqa: ANN401 - as above
    try:
        return await server.run(Request(Step(command, arguments), QUICK_SECONDS, background=True))
    except RedisUnavailableError as error:
        message = f"{server.name}: {error}"
        raise RedisUnavailableError(message) from error


def _seconds(answer: tuple[int, int]) -> float:
    seconds, microseconds = answer
    return float(seconds) + float(microseconds) / 1_000_000
