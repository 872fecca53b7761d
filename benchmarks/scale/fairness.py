"""How fairly two workers share the pace of one account while one of them is further from Redis.

With worker processes at a pace that two cores carry, by the simulator's count of requests. At a higher one the permits alone: two workers
ask for them in this process, and place no calls.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

from actors.dispatch.dispatcher import MAX_PERMITS_PER_CLAIM
from actors.dispatch.rate_limiter import RateLimiter
from actors.metrics import WorkerMetrics
from actors.services import CallPolicy, Ownership
from benchmarks.system import LOADED_TABLES, System, caller_id, worker_name
from dialer.clock import SystemClock, SystemIds
from dialer.streams.client import Streams
from ringmaster.local.valkey import Valkey
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

from actors.services import Services

PACE: Final = 40.0
PERMITS_PACE: Final = 400.0
# How many businesses the near worker has, and how many the far one.
PLACES: Final = ((10, 1), (1, 10))
# Calls of some milliseconds, and more lines than a business can use: each always wants more than its share.
SPEED: Final = 10_000.0
LINES: Final = 50
WARM_UP_SECONDS: Final = 3.0
JOIN_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
# Everything belongs to a former worker until both have joined. Then each takes its own at once, and nothing changes hands later.
FORMER: Final = "INSERT INTO dialer.workers (incarnation, name, lease_until) VALUES ($1, 'former', now() + interval '1 hour')"
TAKE: Final = "UPDATE dialer.partitions SET owner = $1, epoch = epoch + 1, taken_at = now()"
JOINED: Final = "SELECT count(*) FROM dialer.workers WHERE incarnation <> $1"
LEAVE: Final = "DELETE FROM dialer.workers WHERE incarnation = $1"
OWNERS: Final = "SELECT p.partition, w.name FROM dialer.partitions p JOIN dialer.workers w ON w.incarnation = p.owner"
PARTITIONS: Final = 256


@dataclass(frozen=True, slots=True)
class Fairness:
    """At this pace, with so many businesses at the near and at the far worker: calls or permits, as multiples of a business's fair share.

    Of a business at the near worker, of one at the far worker, and of the one that is furthest from its fair share. `jain` is Jain's index
    over the businesses: 1 when all have the same, 1/n when one of n has everything.
    """

    pace: float
    near: int
    far: int
    a_second: float
    near_share: float
    far_share: float
    furthest_share: float
    jain: float

    @classmethod
    def of(cls, pace: float, near: Sequence[float], far: Sequence[float], seconds: float) -> Fairness:
        """What each business got in so many seconds."""
        every = [*near, *far]
        fair = sum(every) / len(every)
        return cls(
            pace,
            len(near),
            len(far),
            sum(every) / seconds,
            sum(near) / len(near) / fair,
            sum(far) / len(far) / fair,
            max((one / fair for one in every), key=lambda share: abs(share - 1)),
            sum(every) ** 2 / (len(every) * sum(one**2 for one in every)),
        )


@dataclass(frozen=True, slots=True)
class BusyRun:
    """A run of a business, and what authorizes requests about it."""

    caller_id: str
    run_id: int
    headers: dict[str, str]


async def processes(distance_ms: float, seconds: float) -> list[Fairness]:
    """Let the workers of each of `PLACES` in turn dial for so long; each answer of Redis reaches the far one so much later.

    Raises:
        RuntimeError: when a business has changed hands meanwhile.
    """
    settings = {"DIALER_CALLS_PER_SECOND": f"{PACE:g}"}
    async with (
        System(workers=2, speed=SPEED, settings=settings) as system,
        TcpProxy(system.environment["REDIS_URL"], delay_seconds=distance_ms / 2 / 1000) as proxy,
    ):
        owners = await _start_workers(system, proxy.url)
        numbers, found = count(), []
        for near, far in PLACES:
            leads = round(2 * PACE * (WARM_UP_SECONDS + seconds) / (near + far))
            runs = await _load(system, owners, numbers, (near, far), leads)
            calls, took = await dial(system, [*runs[0], *runs[1]], seconds)
            shares = [[len(calls[run.caller_id]) for run in side] for side in runs]
            found.append(Fairness.of(PACE, shares[0], shares[1], took))
        if await _owners(system) != owners:
            message = "a partition has changed hands meanwhile"
            raise RuntimeError(message)
    return found


async def permits(distance_ms: float, seconds: float) -> list[Fairness]:
    """Let both workers of each of `PLACES` in turn take permits for so long, likewise."""
    with TemporaryDirectory(prefix="ringmaster-bench-") as folder:
        valkey = Valkey(Path(folder) / "valkey")
        await valkey.start()
        try:
            async with TcpProxy(valkey.url, delay_seconds=distance_ms / 2 / 1000) as proxy:
                return [await _take_permits((valkey.url, proxy.url), place, seconds) for place in PLACES]
        finally:
            await valkey.stop()


async def _take_permits(urls: tuple[str, str], place: tuple[int, int], seconds: float) -> Fairness:
    """What a business at each worker got; a worker deals its permits out in turn."""
    since = time.monotonic() + WARM_UP_SECONDS
    asking = (_keep_asking(url, f"AC{place}", businesses, since, since + seconds) for url, businesses in zip(urls, place, strict=True))
    shares = [[got / businesses] * businesses for got, businesses in zip(await asyncio.gather(*asking), place, strict=True)]
    return Fairness.of(PERMITS_PACE, shares[0], shares[1], time.monotonic() - since)


async def _keep_asking(url: str, account: str, businesses: int, since: float, until: float) -> int:
    """The permits that a worker whose businesses always want more got in that time."""
    clock, ids = SystemClock(), SystemIds()
    streams = Streams(url, clock)
    policy, ownership = CallPolicy("", 30, 60, 60, PERMITS_PACE, account), Ownership(ids.uuid(), {})
    services = SimpleNamespace(clock=clock, streams=streams, policy=policy, ownership=ownership, metrics=WorkerMetrics())
    limiter, got = RateLimiter(cast("Services", services), account), 0
    while time.monotonic() < until:
        taken, wait = await limiter.take(businesses * LINES, businesses=businesses, most=MAX_PERMITS_PER_CLAIM)
        got += taken if time.monotonic() >= since else 0
        if not taken:
            await asyncio.sleep(wait)
    await streams.close()
    return got


async def _start_workers(system: System, far_url: str) -> dict[int, int]:
    """Start both; the worker of each partition."""
    former = uuid4()
    await system.pool.execute(FORMER, former)
    await system.pool.execute(TAKE, former)
    await system.start_workers([system.environment["REDIS_URL"], far_url])
    async with asyncio.timeout(JOIN_SECONDS):
        while await system.pool.fetchval(JOINED, former) < 2:  # noqa: ASYNC110, PLR2004 the processes give no event; both of them
            await asyncio.sleep(POLL_SECONDS)
        await system.pool.execute(LEAVE, former)
        while len(owners := await _owners(system)) < PARTITIONS:  # noqa: ASYNC110 likewise
            await asyncio.sleep(POLL_SECONDS)
    return owners


async def _owners(system: System) -> dict[int, int]:
    workers = {worker_name(n): n for n in range(2)}
    return {row["partition"]: workers[row["name"]] for row in await system.pool.fetch(OWNERS) if row["name"] in workers}


async def _load(
    system: System, owners: dict[int, int], numbers: Iterator[int], wanted: tuple[int, int], leads: int
) -> tuple[list[BusyRun], list[BusyRun]]:
    """Load a run for so many businesses of each worker; a business of a worker that has enough stays without."""
    runs: tuple[list[BusyRun], list[BusyRun]] = [], []
    while any(len(side) < most for side, most in zip(runs, wanted, strict=True)):
        n = next(numbers)
        business = await system.business(n, LINES)
        worker = owners[await system.pool.fetchval("SELECT dialer.partition_of($1)", business)]
        if len(runs[worker]) < wanted[worker]:
            run_id = await system.run(business, n, leads, lines=LINES, start=False)
            runs[worker].append(BusyRun(caller_id(n), run_id, await system.headers(business)))
    await system.pool.execute(f"VACUUM ANALYZE {LOADED_TABLES}")
    return runs


async def dial(system: System, runs: Sequence[BusyRun], seconds: float) -> tuple[dict[str, list[datetime]], float]:
    """Dial these for so long; when each caller id's calls were requested, and the seconds they were counted for."""
    await asyncio.gather(*(system.post(run.headers, f"/api/outbound/runs/{run.run_id}/start", {}) for run in runs))
    await asyncio.sleep(WARM_UP_SECONDS)
    began = datetime.now(UTC)
    await asyncio.sleep(seconds)
    ended = datetime.now(UTC)
    await asyncio.gather(*(system.post(run.headers, f"/api/outbound_calls/jobs/{run.run_id}/cancel", {}) for run in runs))
    requests = (await system.ask_simulator("ledger"))["requests"]
    calls: dict[str, list[datetime]] = defaultdict(list)
    for request in requests:
        if began <= (at := datetime.fromisoformat(request["at"])) <= ended:
            calls[request["from"]].append(at)
    return calls, (ended - began).total_seconds()
