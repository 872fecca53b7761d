"""A Redis Cluster: which master has which slot, learnt from its nodes, and learnt anew when one fails or refers to another.

Every request of ours is about keys of one slot, so it goes to one master as it would to a plain server, with connections, time-outs
and a circuit breaker of that master's own: docs/decisions/0019-redis-cluster.md.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from dialer.addresses import cluster_nodes
from dialer.streams.servers.redis_server import (
    FOREGROUND_SECONDS,
    PROBE_KEY,
    Client,
    Place,
    RedirectError,
    RedisUnavailableError,
    Request,
    Server,
    Step,
)

if TYPE_CHECKING:
    from dialer.clock import Clock

# Ask for the map at most this often; a person's request does only if no background duty has for a while.
PAUSE_SECONDS = 0.5
FOREGROUND_PAUSE_SECONDS = 2.0
NO_CLUSTER = "this Redis is no node of a cluster; write redis:// in place of redis+cluster:// (rediss:// in place of rediss+cluster://)"
# How Redis and Valkey refuse CLUSTER SLOTS without cluster mode.
DISABLED = "cluster support disabled"

log = logging.getLogger(__name__)


class ClusterServers:
    """The nodes of a cluster."""

    def __init__(self, url: str, clock: Clock, tls: dict[str, Any]) -> None:
        """Learn the nodes from those of `url` on first use; user, password and options are the same for all."""
        self._clock = clock
        self._tls = tls
        self._template, *_ = nodes = [urlsplit(node) for node in cluster_nodes(url)]
        self._servers: dict[Place, Server] = {}
        self._given = [(node.hostname or "", node.port or 6379) for node in nodes]
        self._slots: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._masters: list[Server] = []
        self._probe_keys: list[str] = []
        self._problem = "no node of the cluster has answered"
        self._misfit = ""
        self._doubtful = False
        self._asked_at = -FOREGROUND_PAUSE_SECONDS
        self._asking = asyncio.Lock()
        self._turns = itertools.count()
        self._closed = False

    @property
    def admits(self) -> bool:
        """False while a slot is known to have no master that answers."""
        return not self._problem and all(server.admits for server in self._masters)

    async def close(self) -> None:
        """Close every connection; later commands fail."""
        self._closed = True
        for server in list(self._servers.values()):
            await server.close()

    async def at(self, key: str, *, background: bool) -> Server:
        """The master that has this key.

        Raises:
            RedisUnavailableError: when no node has told us.
        """
        slot = key_slot(key.encode())
        pause = PAUSE_SECONDS if background else FOREGROUND_PAUSE_SECONDS
        if self._doubtful and not self._asking.locked() and self._clock.boot() >= self._asked_at + pause:
            with suppress(RedisUnavailableError):
                await self._read_map()
        if self._slots[slot] is None:
            await self._read_map()
        if (server := self._slots[slot]) is None:
            raise RedisUnavailableError(self._problem)
        return server

    def follow(self, redirect: RedirectError, server: Server) -> Server:
        """The master to which `server` has referred us."""
        host, port = redirect.place
        # A node that does not know its own address leaves the host out.
        other = self._server((host or server.place[0], port))
        if not redirect.asking:
            self._slots[redirect.slot] = other
            self.doubt()
        return other

    def doubt(self) -> None:
        """A node has failed or moved a slot: the map may be old."""
        self._doubtful = True

    async def masters(self) -> list[Server]:
        """Every master that has slots.

        Raises:
            RedisUnavailableError: when no node has told us.
        """
        if not self._masters:
            await self._read_map()
        return self._masters

    async def probe_keys(self) -> list[str]:
        """A key of each master: the cluster takes writes when all of them can be written.

        Raises:
            RedisUnavailableError: when no node has told us, or a slot has no master.
        """
        if self._problem:
            await self._read_map()
        return self._probe_keys

    async def misfit(self) -> str:
        """Why the address cannot be used: its nodes are no cluster. Empty when it can, or none answers."""
        with suppress(RedisUnavailableError):
            await self.masters()
        return self._misfit

    async def _read_map(self) -> None:
        """Ask node after node for the map, until one answers; those that wait meanwhile have its answer, too."""
        async with self._asking:
            if self._clock.boot() >= self._asked_at + PAUSE_SECONDS:
                try:
                    await self._ask()
                finally:
                    self._asked_at = self._clock.boot()
        if self._problem:
            raise RedisUnavailableError(self._problem)

    async def _ask(self) -> None:
        # Not the same one first each time: it may have been cut off from the others, and not know it.
        places = list(dict.fromkeys((*self._servers, *self._given)))
        first = next(self._turns) % len(places)
        self._misfit, problems = "", list[str]()
        for place in places[first:] + places[:first]:
            server = self._server(place)
            try:
                found = await server.run(Request(Step(Client.execute_command, ("CLUSTER", "SLOTS")), FOREGROUND_SECONDS, background=True))
            except RedisUnavailableError as error:
                problems.append(f"{server.name}: {error.__cause__ or error}")
                if DISABLED in str(error.__cause__):
                    self._misfit = NO_CLUSTER
                continue
            if found:
                await self._accept(found, server)
                return
            problems.append(f"{server.name}: no slots are assigned")
        self._problem = self._misfit or "; ".join(problems)

    async def _accept(self, found: list[list[Any]], asked: Server) -> None:
        """Take over the answer of CLUSTER SLOTS: for each range its first and last slot, the master, the replicas."""
        slots: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        nodes: dict[Place, None] = dict.fromkeys(self._given)
        masters: dict[Server, None] = {}
        for first, last, *others in found:
            # A host is left out by a node that does not know it, and is "?" when the administrator has not named it.
            places = [(asked.place[0] if node[0] in {None, "", "?"} else str(node[0]), int(node[1])) for node in others]
            nodes |= dict.fromkeys(places)
            master = self._server(places[0])
            masters[master] = None
            slots[first : last + 1] = [master] * (last + 1 - first)
        self._slots, self._doubtful = slots, False
        missing = slots.count(None)
        self._problem = f"{missing} slots of the cluster have no master" if missing else ""
        if set(masters) != set(self._masters) or missing:
            log.info("the Redis cluster has the masters %s%s", ", ".join(sorted(_names(masters))), f"; {self._problem}" if missing else "")
        self._masters = list(masters)
        self._probe_keys = _one_key_each(slots, len(masters))
        for place in self._servers.keys() - nodes:
            await self._servers.pop(place).close()

    def _server(self, place: Place) -> Server:
        if self._closed:
            message = "the connection is closed"
            raise RedisUnavailableError(message)
        if place not in self._servers:
            host, port = place
            user, at, _ = self._template.netloc.rpartition("@")
            url = self._template._replace(netloc=f"{user}{at}{f'[{host}]' if ':' in host else host}:{port}").geturl()
            self._servers[place] = Server(url, self._clock, self._tls, place)
        return self._servers[place]


def _names(servers: dict[Server, None]) -> list[str]:
    return [server.name.removeprefix("Redis ") for server in servers]


def _one_key_each(slots: list[Server | None], masters: int) -> list[str]:
    """A private key of each master."""
    keys: dict[Server, str] = {}
    for key in itertools.chain([PROBE_KEY], (f"dialer:probe:{{{n}}}" for n in range(8 * len(slots)))):
        server = slots[key_slot(key.encode())]
        if server is not None:
            keys.setdefault(server, key)
        if len(keys) == masters:
            break
    return list(keys.values())
