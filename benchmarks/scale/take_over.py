"""A worker is killed: from then to the next call of each business that it owned and that had a free line."""

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
ORPHANS = """SELECT l.business_id FROM dialer.lanes l
    JOIN dialer.partitions p ON p.partition = l.partition
    JOIN dialer.workers w ON w.incarnation = p.owner
    WHERE w.name = $1 AND (SELECT count(*) FROM dialer.attempts a
                           WHERE a.id = ANY (l.inflight) AND a.state = 'placing') < l.max_calls"""
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
        orphans = [row["business_id"] for row in await system.pool.fetch(ORPHANS, name)]
        killed_at = datetime.now(UTC)
        os.kill(system.worker_pid(next(n for n in range(2) if worker_name(n) == name)), signal.SIGKILL)
        async with asyncio.timeout(TAKE_OVER_SECONDS):
            while len(rows := await system.pool.fetch(NEXT, killed_at + IN_TRANSIT, orphans)) < len(orphans):  # noqa: ASYNC110 no event
                await asyncio.sleep(POLL_SECONDS)
    return TakeOver(len(orphans), Spread.of([(row["at"] - killed_at).total_seconds() for row in rows]))
