"""Another service that uses the public streams only, through Redis, as `redis-cli` would."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis.asyncio
from redis.asyncio.cluster import ClusterNode

from dialer.addresses import cluster_nodes, is_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.chaos.tenant import Tenant

COMMANDS = "dialer:commands"
EVENTS = "dialer:events"
REJECTED = "dialer:commands:rejected"


class ExternalClient:
    """A connection to Redis."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - redis-py types its results as Any
        self.client = client

    async def send(self, *entries: dict[str, str]) -> None:
        """Add entries to dialer:commands, several in one pipeline."""
        pipe = self.client.pipeline(transaction=False)
        for fields in entries:
            pipe.xadd(COMMANDS, fields)
        await pipe.execute()

    async def read(self, stream: str, run_ids: Iterable[int] = ()) -> list[dict[str, str]]:
        """Every entry of a stream, oldest first; only those of `run_ids` when some are given."""
        wanted = set(map(str, run_ids))
        entries = [dict(fields) for _, fields in await self.client.xrange(stream)]
        return [fields for fields in entries if not wanted or fields.get("run_id") in wanted]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[ExternalClient]:
    """Connect to Redis or a cluster for the length of a block."""
    client: redis.asyncio.Redis | redis.asyncio.RedisCluster
    if is_cluster(url):
        nodes = [urlsplit(node) for node in cluster_nodes(url)]
        places = [ClusterNode(str(node.hostname), int(node.port or 0)) for node in nodes]
        client = redis.asyncio.RedisCluster(startup_nodes=places, password=nodes[0].password, decode_responses=True)
    else:
        client = redis.asyncio.Redis.from_url(url, decode_responses=True)
    async with client:
        yield ExternalClient(client)


def command(tenant: Tenant, run_id: int, kind: str, identity: str | None = None) -> dict[str, str]:
    """An entry of dialer:commands; its id is new for each kind and run, or `identity`."""
    identity = identity or f"{kind}-{run_id}"
    return {"v": "1", "id": identity, "type": kind, "business_id": str(tenant.business_id), "run_id": str(run_id)}
