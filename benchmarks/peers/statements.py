"""`pgbench` with our claim and record alone: what the server reaches when nothing is done between them."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from benchmarks.queue import load_businesses
from benchmarks.rounds import BATCH, SLOTS
from ringmaster.local.postgres import Postgres, program
from sql.attempts.fact_writer import MAX_FACTS_AT_ONCE
from sql.migrate import migrate
from sql.pool import open_pool
from sql.workers.workers import Workers

if TYPE_CHECKING:
    from uuid import UUID

PARTITIONS = 256
CLIENTS = 8
SCRIPT = Path(__file__).parent / "statements.sql"
BATCHES = """CREATE TABLE bench_batches AS
    SELECT n, array_agg(business_id) AS businesses, array_agg(epoch) AS epochs, array_agg($2::integer) AS permits
    FROM (SELECT l.business_id, p.epoch, (row_number() OVER (ORDER BY l.business_id) - 1) / $1 AS n
          FROM dialer.lanes l JOIN dialer.partitions p USING (partition)) AS numbered
    GROUP BY n"""


@dataclass(frozen=True, slots=True)
class Bare:
    """The result of pgbench: calls claimed and recorded in `seconds`."""

    calls: int
    seconds: float

    @property
    def calls_a_second(self) -> float:
        """Throughput as pgbench sees it."""
        return self.calls / self.seconds


async def bare(keys: int, jobs: int, seconds: float) -> Bare:
    """Claim and record leads of `keys` businesses with `jobs` leads each by pgbench for `seconds`, in batches as large as ours.

    Raises:
        RuntimeError: when pgbench fails, or the leads were too few for the time.
    """
    with TemporaryDirectory(prefix="ringmaster-bench-") as folder:
        server = Postgres(Path(folder) / "postgres")
        await server.start()
        try:
            incarnation = await _prepare(server.url, keys, jobs)
            rounds = keys // BATCH // CLIENTS
            given = {"clients": CLIENTS, "rounds": rounds, "facts_at_once": MAX_FACTS_AT_ONCE, "incarnation": incarnation}
            flags = ["--no-vacuum", "--protocol=prepared", f"--file={SCRIPT}", f"--client={CLIENTS}", f"--time={seconds:g}"]
            flags += [f"--define={name}={value}" for name, value in given.items()]
            process = await asyncio.create_subprocess_exec(program("pgbench"), *flags, server.url, stdout=PIPE, stderr=PIPE)
            try:
                output, errors = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
            if process.returncode or "number of failed transactions: 0 " not in output.decode():
                message = f"pgbench: {output.decode()[-500:]} {errors.decode()[-1000:]}"
                raise RuntimeError(message)
            return Bare(await _over(server.url, rounds * CLIENTS * BATCH * jobs), seconds)
        finally:
            await server.stop()


async def _prepare(url: str, keys: int, jobs: int) -> UUID:
    await migrate(url)
    pool = await open_pool(url, name="bench", size=2)
    await load_businesses(pool, keys, jobs)
    incarnation = uuid4()
    workers = Workers(pool)
    await workers.join(incarnation, "bench", 3600)
    await workers.take_over(incarnation, list(range(PARTITIONS)))
    await pool.execute(BATCHES, BATCH, SLOTS)
    await pool.close()
    return incarnation


async def _over(url: str, leads: int) -> int:
    pool = await open_pool(url, name="bench", size=2)
    try:
        over = int(await pool.fetchval("SELECT count(*) FROM dialer.attempts WHERE state = 'over'"))
    finally:
        await pool.close()
    if over >= leads:
        message = f"all {leads} leads were called before the time was up: give more"
        raise RuntimeError(message)
    return over
