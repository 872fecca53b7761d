"""What many businesses that do nothing cost: memory of the worker, and what is written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.system import System, caller_id
from sql.businesses.businesses import Businesses

if TYPE_CHECKING:
    from sql.pool import Pool

SETTLE_SECONDS = 13.0  # an idle session of PostgreSQL counts its rows after ten
CREATED_AT_ONCE = 4
WRITES = """SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal,
    (SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database()) AS rows"""


@dataclass(frozen=True, slots=True)
class Idle:
    """With so many businesses: memory of web process and worker in MB, rows written a second, WAL bytes a second."""

    businesses: int
    web_mb: float
    worker_mb: float
    rows_a_second: float
    wal_a_second: float


async def measure(businesses: int, seconds: float) -> tuple[Idle, Idle]:
    """Do nothing for `seconds` with one business, and with so many."""
    async with System(speed=1.0) as system:
        await system.businesses(1, 1, start=False)
        await system.start_workers()
        one = await _observe(system, 1, seconds)
    async with System(speed=1.0) as system:
        await _create(system.pool, businesses)
        await system.start_workers()
        return one, await _observe(system, businesses, seconds)


async def _create(pool: Pool, count: int) -> None:
    create = Businesses(pool).create

    async def some(first: int) -> None:
        for n in range(first, count, CREATED_AT_ONCE):
            await create(name=f"Business {n}", caller_id=caller_id(n), region="US", timezone="UTC", max_calls=3)

    await asyncio.gather(*(some(first) for first in range(CREATED_AT_ONCE)))
    await pool.execute("VACUUM ANALYZE dialer.businesses, dialer.lanes")


async def _observe(system: System, businesses: int, seconds: float) -> Idle:
    await asyncio.sleep(SETTLE_SECONDS)
    [before] = await system.pool.fetch(WRITES)
    await asyncio.sleep(seconds)
    [after] = await system.pool.fetch(WRITES)
    web, worker = (system.usage_of(kind).megabytes for kind in ("web", "worker"))
    return Idle(businesses, web, worker, (after["rows"] - before["rows"]) / seconds, float(after["wal"] - before["wal"]) / seconds)
