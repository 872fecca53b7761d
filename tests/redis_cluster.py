"""A Redis Cluster of embedded servers: masters that share the slots, and replicas of the first."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import redis.asyncio
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from ringmaster.local.ports import free_port
from ringmaster.local.valkey import Valkey
from tests.chaos.polling import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MASTERS: Final = 3
AGREED_SECONDS: Final = 30.0
PASSWORD: Final = "of-all-nodes"


class RedisCluster:
    """Has what the tests use of `Valkey`: all nodes start, stop and are killed together; `nodes` are the servers, masters first."""

    def __init__(self, path: Path, *, replicas: int = 0) -> None:
        self._path = path
        self.nodes = [Valkey(path / str(n), databases=1, settings=_settings()) for n in range(MASTERS + replicas)]
        self._formed = False

    @property
    def url(self) -> str:
        """`REDIS_URL`, with all nodes."""
        return f"redis+cluster://:{PASSWORD}@{','.join(map(self.place, self.nodes))}"

    @property
    def alive(self) -> bool:
        """True while every node runs."""
        return all(node.alive for node in self.nodes)

    async def start(self) -> None:
        """Start the nodes that do not run, and wait until all agree on who has which slots."""
        for n, node in enumerate(self.nodes):
            if not node.alive:
                await asyncio.to_thread(_keep_password, self._path / str(n))
                await node.start()
        if not self._formed:
            await self._form()
            self._formed = True
        await until(self.agreed, AGREED_SECONDS, "the nodes of the cluster agree")

    async def stop(self) -> None:
        """Stop every node."""
        for node in self.nodes:
            await node.stop()

    async def kill(self) -> None:
        """End every node by kill -9."""
        for node in self.nodes:
            await node.kill()

    async def ask(self, node: Valkey, *command: str | int) -> Any:  # noqa: ANN401 - what the command answers
        """Send a command to one node."""
        async with redis.asyncio.from_url(node.url, decode_responses=True) as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    def place(self, node: Valkey) -> str:
        """Host and port of a node."""
        return urlsplit(node.url).netloc.rpartition("@")[2]

    async def master(self, key: str) -> Valkey:
        """The master of this key; all nodes must run."""
        slot = key_slot(key.encode())
        for first, last, (_, port, *_), *_ in await self.ask(self.nodes[0], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if urlsplit(node.url).port == port)
        message = f"no node has the slot {slot}"
        raise AssertionError(message)

    async def agreed(self) -> bool:
        """True when every node says that all slots are served, and knows every other node."""
        wanted = {"cluster_state:ok", f"cluster_slots_ok:{REDIS_CLUSTER_HASH_SLOTS}", f"cluster_known_nodes:{len(self.nodes)}"}
        return all([wanted <= set(str(await self.ask(node, "CLUSTER", "INFO")).split()) for node in self.nodes])

    async def promote(self, replica: Valkey) -> None:
        """Make a replica the master of its master's slots, as the cluster does by itself once the master is known to be dead."""
        await self.ask(replica, "CLUSTER", "FAILOVER", "TAKEOVER")

    async def _form(self) -> None:
        for n, node in enumerate(self.nodes):
            await self.ask(node, "CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            if n < MASTERS:
                first, end = (-(-part * REDIS_CLUSTER_HASH_SLOTS // MASTERS) for part in (n, n + 1))
                await self.ask(node, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            place, bus = urlsplit(node.url), await self.ask(node, "CONFIG", "GET", "cluster-port")
            await self.ask(self.nodes[0], "CLUSTER", "MEET", str(place.hostname), int(place.port or 0), int(bus["cluster-port"]))
        first_id = await self.ask(self.nodes[0], "CLUSTER", "MYID")
        for replica in self.nodes[MASTERS:]:
            await until(partial(self._knows, replica, first_id), AGREED_SECONDS, "a replica knows its master")
            await self.ask(replica, "CLUSTER", "REPLICATE", first_id)
            await until(partial(self._follows, replica), AGREED_SECONDS, "a replica follows its master")

    async def _knows(self, node: Valkey, node_id: str) -> bool:
        return node_id in str(await self.ask(node, "CLUSTER", "NODES"))

    async def _follows(self, node: Valkey) -> bool:
        return bool((await self.ask(node, "INFO", "replication"))["master_link_status"] == "up")


def _settings() -> Mapping[str, str]:
    return {"cluster-enabled": "yes", "cluster-port": str(free_port()), "masterauth": PASSWORD}


def _keep_password(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    (path / "password").write_text(PASSWORD)
