"""Another client's transaction locks a row of one business, in each table in turn: the others keep their pace, and cancel answers.

A row of a table that all share may stop everybody for a moment, while a worker makes itself anew, but not for longer.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from tests.chaos.cluster import Cluster
from tests.chaos.figures import keep, spread, trials
from tests.chaos.judge import call_records, judge
from tests.chaos.polling import lasting, percentile, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

# Calls of about three seconds, far from what two cores can do, so that what is seen is the lock and not the load. With CHAOS_TRIALS, on a
# quiet machine, each table is held for long, and the promised figures apply. In the usual run a tenth of the pace tells a stop from a slow
# moment: the control was measured some seconds before, and the machine has others to serve.
IS_QUIET = trials(1) > 1
SPEED = 12.0
OTHERS = 10 if IS_QUIET else 5
# Enough for the runs to last as long as all tables take.
LEADS = 2000 if IS_QUIET else 200
HELD_SECONDS = 8.0 if IS_QUIET else 2.0
# The machine changes while this runs: every few tables the control is measured again.
TABLES_PER_CONTROL = 3
CONTROL_SECONDS = 8.0 if IS_QUIET else 3.0
RECOVERED_SECONDS = 10.0
AFTER_THE_LOG_SECONDS = 0.5
CANCEL_EVERY_SECONDS = 0.05 if IS_QUIET else 0.25
PACE_KEPT = 0.8 if IS_QUIET else 0.1
CALLBACK_SECONDS = 0.1 if IS_QUIET else 5.0
CANCEL_SECONDS = 0.05 if IS_QUIET else 5.0
# Every sixth table in turn of those with a business is held in the usual run.
TABLES_EACH = 1 if IS_QUIET else 6
TABLES = """
SELECT c.table_schema || '.' || c.table_name AS name FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.column_name = 'business_id' AND t.table_type = 'BASE TABLE' AND c.table_schema IN ('public', 'dialer') ORDER BY name
"""
# Rows that exist for a moment only: tests/integration/test_held_rows.py holds them.
EMPTY = {"dialer.outbox", "dialer.stalls"}
SHARED = {
    "dialer.workers": "SELECT FROM dialer.workers ORDER BY started_at LIMIT 1 FOR UPDATE",
    "dialer.partitions": "SELECT FROM dialer.partitions FOR UPDATE",
    "dialer.positions": "SELECT FROM dialer.positions FOR UPDATE",
    "dialer.timelines": "SELECT FROM dialer.timelines FOR UPDATE",
}
# The last lead of a run waits for another turn.
PUT_OFF = """
INSERT INTO dialer.retries (business_id, run_id, job_id, zone, due_at, reason)
SELECT business_id, run_id, id, 'IL:Asia/Jerusalem', now() + interval '1 hour', 'same_phone' FROM outbound_call_jobs
WHERE business_id = $1 AND run_id = $2 ORDER BY position DESC LIMIT 1
"""
# One row of $1, with a run $2, for each table that these runs do not fill by themselves.
FURTHER = (
    """
INSERT INTO dialer.lead_variables (business_id, run_id, position, variables)
SELECT business_id, run_id, position, '{"city": "x"}' FROM outbound_call_jobs WHERE business_id = $1 AND run_id = $2 LIMIT 1
""",
    """
INSERT INTO dialer.provider_accounts (business_id, account_sid, credentials, sealed, replaced_at)
SELECT business_id, 'AC' || $2::integer, 'auth_token', '', now() FROM dialer.businesses WHERE business_id = $1
""",
    """
INSERT INTO dialer.refusals (business_id, run_id, job_id, rule, verdict)
SELECT business_id, run_id, id, 'gap', 'wait' FROM outbound_call_jobs WHERE business_id = $1 AND run_id = $2 LIMIT 1
""",
    """
INSERT INTO dialer.recordings (business_id, attempt_id, recording_sid, url)
SELECT business_id, id, 'RE1', 'https://example.com' FROM dialer.attempts WHERE business_id = $1 AND run_id = $2 LIMIT 1
""",
    """
INSERT INTO dialer.operations (business_id, run_id, type, status, requested_by, jobs) VALUES ($1, $2, 'cancel', 'completed', 'x', '{}')
""",
    "INSERT INTO dialer.registers (business_id, name) VALUES ($1, 'of run ' || $2::integer)",
    "INSERT INTO dialer.do_not_call (business_id, phone) VALUES ($1, '+4420' || $2::integer)",
    "INSERT INTO dialer.lead_numbers (business_id, external_id) VALUES ($1, 'x' || $2::integer)",
    "INSERT INTO dialer.users (business_id, email, role, password_hash) VALUES ($1, $2::integer || '@example.com', 'viewer', 'x')",
    """
INSERT INTO dialer.sessions (user_id, business_id, expires_at, address, user_agent)
SELECT user_id, business_id, now() + interval '1 day', 'x', 'x' FROM dialer.users WHERE business_id = $1 AND $2::integer > 0
""",
    """
INSERT INTO dialer.test_calls (business_id, phone, from_number, account_sid, call, request_id, ended_at)
VALUES ($1, '+4420', '+4420', 'AC0', '{}', 'x' || $2::integer, now())
""",
    # A webhook that is disabled: its rows are there, and nothing is sent.
    """
WITH webhook AS (
    INSERT INTO dialer.webhooks (business_id, url, events, sealed_key, created_by, disabled_at)
    VALUES ($1, 'https://example.com', '{}', '', 'x', now()) RETURNING webhook_id
), queue AS (
    INSERT INTO dialer.delivery_queues (business_id, webhook_id, queue, due_at) SELECT $1, webhook_id, 0, 'infinity' FROM webhook
)
INSERT INTO dialer.deliveries (business_id, webhook_id, queue, event_id, run_id, type, at, data, status)
SELECT $1, webhook_id, 0, 0, $2::integer, 'run.started', now(), '{}', 'delivered' FROM webhook
""",
    """
WITH draft AS (
    INSERT INTO dialer.drafts (business_id, owner, file_name, kind, bytes, run_id) VALUES ($1, 'x', 'x', 'csv', 0, $2) RETURNING draft_id
)
INSERT INTO dialer.draft_pieces (business_id, draft_id, number, content) SELECT $1, draft_id, 0, '' FROM draft
""",
    """
INSERT INTO dialer.reported_rows (business_id, run_id, place, number, row, kind, detail) VALUES ($1, $2, 0, 1, 1, 'rejected', '{}')
""",
    "INSERT INTO dialer.tokens (business_id, role, hash) VALUES ($1, 'viewer', decode(md5($2::integer::text), 'hex'))",
)
TAKEN = "SELECT count(*) FROM dialer.attempts WHERE created_at > $1 AND business_id = ANY ($2::integer[])"
# A busy machine delays all, with and without the lock.
TIMES_OF_CONTROL = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of this file."""
    async with Cluster(tmp_path_factory.mktemp("isolation"), speed=SPEED) as cluster:
        yield cluster


@asynccontextmanager
async def held(cluster: Cluster, lock: str, *arguments: object) -> AsyncIterator[bool]:
    """Hold what `lock` selects for the length of the block; False when there was nothing to hold."""
    session = await asyncpg.connect(cluster.postgres.url)
    try:
        transaction = session.transaction()
        await transaction.start()
        yield bool(await session.fetch(lock, *arguments))
    finally:
        await session.close()


@dataclass(frozen=True)
class Figures:
    """Of a while: leads taken a second, and within how many seconds 99 % of the callbacks and of the cancels were answered."""

    pace: float
    callbacks: int
    callback_p99: float
    cancels: int
    cancel_p99: float


class Traffic:
    """What the other businesses do: they dial all the while, and one of them cancels small runs."""

    def __init__(self, cluster: Cluster, others: Sequence[Tenant]) -> None:
        self.cluster = cluster
        self.ids = [tenant.business_id for tenant in others]
        self.canceller = others[0]
        self.caller_ids = {tenant.caller_id for tenant in others}

    async def pace(self, seconds: float) -> float:
        """Leads taken a second, of all of them."""
        began = datetime.now(UTC)
        await lasting(seconds)
        taken = await self.cluster.value(TAKEN, began, self.ids)
        return float(taken) / (datetime.now(UTC) - began).total_seconds()

    async def cancels(self, seconds: float) -> list[float]:
        """Cancel runs for so long; return how many seconds each answer took."""
        loop, took = asyncio.get_running_loop(), []
        until_then = loop.time() + seconds
        while loop.time() < until_then:
            run_id = await self.canceller.run(self.cluster.leads(1), start=False)
            began = loop.time()
            await self.canceller.cancel(run_id)
            took.append(loop.time() - began)
            await lasting(CANCEL_EVERY_SECONDS)
        return took

    async def figures(self, seconds: float) -> Figures:
        """What the others see for so long."""
        # The simulator has just sent its whole log, and has answered nobody meanwhile.
        await lasting(AFTER_THE_LOG_SECONDS)
        began = datetime.now(UTC)
        pace, cancels = await asyncio.gather(self.pace(seconds), self.cancels(seconds))
        calls = [call for call in (await call_records(self.cluster)).calls if call["from"] in self.caller_ids]
        answered = [took for call in calls if datetime.fromisoformat(call["created_at"]) >= began for took in call["callback_seconds"]]
        callback_p99 = percentile(answered, 0.99) if answered else float("inf")
        return Figures(round(pace, 1), len(answered), callback_p99, len(cancels), round(percentile(cancels, 0.99), 4))


async def dialing(cluster: Cluster) -> tuple[Tenant, Traffic]:
    """A victim and its neighbours, all in the middle of long runs."""
    tenants = [await cluster.tenant() for _ in range(OTHERS + 1)]
    runs = [(tenant, await tenant.run(cluster.leads(LEADS))) for tenant in tenants]
    for tenant, run_id in runs:
        await tenant.taken(run_id, 6)
    for statement in (PUT_OFF, *FURTHER):
        await cluster.pool.execute(statement, tenants[0].business_id, runs[0][1])
    return tenants[0], Traffic(cluster, tenants[1:])


async def test_a_held_row_of_one_business_slows_no_other(cluster: Cluster) -> None:
    await cluster.scale(2)
    victim, traffic = await dialing(cluster)
    seen: dict[str, tuple[Figures, Figures]] = {}
    missing = set()
    control = await traffic.figures(HELD_SECONDS)
    for n, row in enumerate((await cluster.rows(TABLES))[::TABLES_EACH]):
        table = row["name"]
        if n % TABLES_PER_CONTROL == TABLES_PER_CONTROL - 1:
            control = await traffic.figures(HELD_SECONDS)
        async with held(cluster, f"SELECT FROM {table} WHERE business_id = $1 LIMIT 1 FOR UPDATE", victim.business_id) as found:
            if found:
                seen[table] = control, await traffic.figures(HELD_SECONDS)
            else:
                missing.add(table)
    keep(
        "another session locks a row of one business",
        tables={t: {"free": asdict(free), "held": asdict(at)} for t, (free, at) in seen.items()},
    )
    assert missing <= EMPTY
    assert {table: f for table, f in seen.items() if f[1].pace < PACE_KEPT * f[0].pace} == {}
    assert {table: f for table, f in seen.items() if f[1].callback_p99 > max(CALLBACK_SECONDS, TIMES_OF_CONTROL * f[0].callback_p99)} == {}
    assert {table: f for table, f in seen.items() if f[1].cancel_p99 > max(CANCEL_SECONDS, TIMES_OF_CONTROL * f[0].cancel_p99)} == {}
    await stopped(cluster)


async def stopped(cluster: Cluster) -> None:
    """End all that goes on, and hold the promises against it."""
    for tenant in cluster.tenants:
        await tenant.stop_all()
        for run_id in tenant.runs:
            await tenant.ended(run_id)
    await judge(cluster, cluster.tenants)


@pytest.mark.parametrize("table", SHARED if IS_QUIET else ["dialer.workers"])
async def test_a_held_row_that_all_share_is_got_around(cluster: Cluster, table: str) -> None:
    await cluster.scale(2)
    _, traffic = await dialing(cluster)
    control = await traffic.figures(CONTROL_SECONDS)

    async def recovered() -> bool:
        return await traffic.pace(1.0) >= PACE_KEPT * control.pace

    async with held(cluster, SHARED[table]):
        began = asyncio.get_running_loop().time()
        # The pace may fall only after some seconds, when a lease has run out: it is watched for as long as all of it may take.
        cancels = asyncio.ensure_future(traffic.cancels(RECOVERED_SECONDS))
        lowest = min([await traffic.pace(1.0) for _ in range(int(RECOVERED_SECONDS) - 2)])
        await until(recovered, RECOVERED_SECONDS, f"the pace comes back with a row of {table} held")
        after = asyncio.get_running_loop().time() - began
        took = await cancels
    keep(
        f"another session locks {table}",
        lowest_pace=round(lowest / control.pace, 2),
        recovered_after_at_most=round(after, 1),
        cancel=spread(took),
    )
    assert percentile(took, 0.99) < max(CANCEL_SECONDS, TIMES_OF_CONTROL * control.cancel_p99)
    await stopped(cluster)
