"""A worker is killed: from then to the next lead taken for each of its businesses of which a line was free when it lost its partitions."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmarks.latency import Spread
from benchmarks.system import System, worker_name

SPEED = 3.7  # simulated seconds a second: a call that is answered takes some 9 s
BUSINESSES = 80
LEADS = 200
WARM_UP_SECONDS = 12.0
TAKE_OVER_SECONDS = 60.0
POLL_SECONDS = 0.1
# A request that was on its way when the worker was killed is no call of another worker.
IN_TRANSIT = timedelta(milliseconds=500)
OWNER = """SELECT w.name FROM dialer.partitions p JOIN dialer.workers w ON w.incarnation = p.owner
    GROUP BY w.name ORDER BY count(*) DESC LIMIT 1"""
ORPHANS = """SELECT l.business_id, w.lease_until FROM dialer.lanes l
    JOIN dialer.partitions p ON p.partition = l.partition
    JOIN dialer.workers w ON w.incarnation = p.owner
    WHERE w.name = $1"""
# All lines were in use: one is free when a call has ended. A business without one by the end of the lease waits for that, not for a worker.
FREED = """SELECT DISTINCT business_id FROM dialer.attempts
    WHERE business_id = ANY ($1) AND ended_at BETWEEN $2 AND $3"""
NEXT = """SELECT business_id, min(created_at) AS at FROM dialer.attempts
    WHERE created_at > $1 AND business_id = ANY ($2) GROUP BY business_id"""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """From a kill -9 to the next lead taken for each of so many businesses."""

    businesses: int
    after: Spread


async def measure() -> TakeOver:
    """Kill the worker that owns most, while every line is in use."""
    async with System(speed=SPEED, workers=2) as system:
        await system.businesses(BUSINESSES, LEADS)
        await system.start_workers()
        await asyncio.sleep(WARM_UP_SECONDS)
        name = await system.pool.fetchval(OWNER)
        owned = await system.pool.fetch(ORPHANS, name)
        orphans, lease_until = [row["business_id"] for row in owned], owned[0]["lease_until"]
        killed_at = datetime.now(UTC)
        os.kill(system.worker_pid(next(n for n in range(2) if worker_name(n) == name)), signal.SIGKILL)
        async with asyncio.timeout(TAKE_OVER_SECONDS):
            while len(rows := await system.pool.fetch(NEXT, killed_at + IN_TRANSIT, orphans)) < len(orphans):  # noqa: ASYNC110 no event
                await asyncio.sleep(POLL_SECONDS)
        freed = {row["business_id"] for row in await system.pool.fetch(FREED, orphans, killed_at, lease_until)}
    return TakeOver(len(freed), Spread.of([(row["at"] - killed_at).total_seconds() for row in rows if row["business_id"] in freed]))
