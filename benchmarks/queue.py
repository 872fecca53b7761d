"""The queue alone: leads claimed and calls recorded a second, and the WAL that writes, without a telephone company."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from benchmarks.rounds import SLOTS, Round
from ringmaster.local.postgres import Postgres
from sql.attempts.attempts import Attempts, ClaimRequest
from sql.businesses.businesses import Businesses
from sql.migrate import migrate
from sql.pool import open_pool
from sql.runs.new_lead import NewLead
from sql.runs.new_run import NewRun, Request
from sql.runs.runs import Runs
from sql.workers.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sql.pool import Pool

CLAIMERS = 2
# Not all tables: with one that was analysed while it was empty, record is planned to read all of it, until autovacuum analyses it again.
LOADED_TABLES = "outbound_call_jobs, outbound_call_runs, dialer.run_zones, dialer.lanes, dialer.businesses, dialer.partitions"

RULES = (
    """UPDATE dialer.businesses SET calling_hours = '{"monday": [["08:00", "21:00"]]}', min_gap_hours = 24, max_per_day = 3,
    retries = '{"no-answer": {"times": 2, "after_minutes": [30, 240]}}', allowed_countries = '{US,IL}',
    required_registers = '[{"name": "national", "max_age_days": 15}]'""",
    """UPDATE dialer.run_zones SET opens_at = now() - interval '1 hour', closes_at = now() + interval '9 hours',
    day_from = date_trunc('day', now()), day_to = date_trunc('day', now()) + interval '1 day'""",
    "INSERT INTO dialer.registers (business_id, name, current) SELECT business_id, 'national', TRUE FROM dialer.businesses",
)
HISTORY = (
    """INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, account_sid, ring_seconds,
                                created_at, send_by, outcome)
    SELECT 1 + n % $2, 0, 0, 'over', gen_random_uuid(), gen_random_uuid(),
           '+1' || lpad((n % $2)::text, 4, '0') || lpad((1 + n / $2)::text, 6, '0'),
           '+12025550100', 'AC', 30, now() - interval '2 days', now(), 'completed'
    FROM generate_series($1::integer, $3::integer - 1) n""",
    """INSERT INTO dialer.do_not_call (business_id, phone, register_id)
    SELECT 1 + n % $2, '+2' || lpad(n::text, 10, '0'), n % 2 FROM generate_series($1::integer, $3::integer - 1) n""",
)
ROWS_A_STATEMENT = 20_000  # a statement of the pool times out


@dataclass(frozen=True, slots=True)
class Figures:
    """The result: `calls` claimed and recorded in `seconds`, at most `most_at_once` in flight for one business."""

    calls: int
    seconds: float
    wal_bytes_a_call: float
    most_at_once: int
    claim_p50_ms: float
    claim_p99_ms: float

    @property
    def calls_a_second(self) -> float:
        """Throughput over the whole run."""
        return self.calls / self.seconds


async def measure(
    businesses: int = 200, leads: int = 100, *, history: int = 0, prepare: Callable[[str], Awaitable[object]] = migrate
) -> Figures:
    """Dial `leads` of each of `businesses` as fast as PostgreSQL claims and records them, with fsync on.

    With `history`, all rules of calling are on, and so many phones have been called before. `prepare` makes the schema at an address.
    """
    with TemporaryDirectory(prefix="ringmaster-bench-") as folder:
        server = Postgres(Path(folder) / "postgres")
        await server.start()
        try:
            await prepare(server.url)
            pool = await open_pool(server.url, name="bench", size=2 * CLAIMERS + 2)
            try:
                return await _measure(pool, businesses, leads, history)
            finally:
                await pool.close()
        finally:
            await server.stop()


async def _measure(pool: Pool, businesses: int, leads: int, history: int) -> Figures:
    ids = await load_businesses(pool, businesses, leads)
    if history:
        await _turn_rules_on(pool, businesses, history)
    incarnation = uuid4()
    workers = Workers(pool)
    await workers.join(incarnation, "bench", 3600)
    epochs = await workers.take_over(incarnation, list(range(256)))
    partitions = {row["business_id"]: row["partition"] for row in await pool.fetch("SELECT business_id, partition FROM dialer.lanes")}
    requests = {b: ClaimRequest(b, epochs[partitions[b]], SLOTS) for b in ids}
    before = await pool.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    started_at = time.perf_counter()
    rounds = [Round(Attempts(pool), incarnation, {b: requests[b] for b in ids[n::CLAIMERS]}) for n in range(CLAIMERS)]
    await asyncio.gather(*(one.run() for one in rounds))
    seconds = time.perf_counter() - started_at
    wal = float(await pool.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn") - before)
    calls = sum(one.calls for one in rounds)
    if calls != businesses * leads:
        message = f"{businesses * leads} leads, {calls} calls"
        raise RuntimeError(message)
    claims = sorted(ms for one in rounds for ms in one.claim_ms)
    return Figures(calls, seconds, wal / calls, max(one.most for one in rounds), claims[len(claims) // 2], claims[int(len(claims) * 0.99)])


async def load_businesses(pool: Pool, businesses: int, leads: int) -> list[int]:
    """Make businesses with three lines each and a started run of `leads` leads; return their ids."""
    ids = []
    for n in range(businesses):
        business = await Businesses(pool).create(name="Bench", caller_id="+12025550100", region="US", timezone="UTC", max_calls=SLOTS)
        rows = [NewLead(k, f"+1{n:04}{k:06}", None, "US:UTC") for k in range(1, leads + 1)]
        await Runs(pool).create(NewRun(business, "bench", SLOTS, rows, start=True), Request(f"http:{uuid4()}", b"", "bench", {}))
        ids.append(business)
    await pool.execute(f"VACUUM ANALYZE {LOADED_TABLES}")
    return ids


async def _turn_rules_on(pool: Pool, businesses: int, history: int) -> None:
    """Every rule, with a do-not-call list and a register for each business; none keeps a lead of the benchmark from being called."""
    for statement in RULES:
        await pool.execute(statement)
    for first in range(0, history, ROWS_A_STATEMENT):
        for statement in HISTORY:
            await pool.execute(statement, first, businesses, min(first + ROWS_A_STATEMENT, history))
    await pool.execute(f"VACUUM ANALYZE {LOADED_TABLES}, dialer.attempts, dialer.do_not_call, dialer.registers")
