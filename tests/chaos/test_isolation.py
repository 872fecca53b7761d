"""Another client's transaction locks a row of one business, in each table in turn: the others keep their pace, and cancel answers.

A row of a table that all share may stop everybody for a moment, while a worker makes itself anew, but not for longer.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from tests.chaos.cluster import Cluster
from tests.chaos.figures import keep, spread, trials
from tests.chaos.judge import judge
from tests.chaos.waiting import lasting, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

# Calls of about a second.
SPEED = 40.0
OTHERS = 10
LEADS = 700
HELD_SECONDS = 1.5
# The machine changes while this runs: every few tables the control is measured again.
TABLES_PER_CONTROL = 3
CONTROL_SECONDS = 3.0
RECOVERED_SECONDS = 10.0
CANCEL_EVERY_SECONDS = 0.25
# What is promised is 80 % of the pace, 0.1 s and 0.05 s (docs/guarantees.md has the figures seen); a shared machine gets a margin here.
# The tight figures are those of a quiet machine (CHAOS_TRIALS). Here a tenth of the pace tells a stop from a slow moment: the control was
# measured some seconds before, and the machine has others to serve.
IS_QUIET = trials(1) > 1
PACE_KEPT = 0.5 if IS_QUIET else 0.1
CALLBACK_SECONDS = 1.0 if IS_QUIET else 5.0
CANCEL_SECONDS = 0.5 if IS_QUIET else 5.0
# Every third table in turn of those with a business is held in the usual run.
TABLES_EACH = 1 if IS_QUIET else 3
TABLES = """
SELECT c.table_schema || '.' || c.table_name AS name FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.column_name = 'business_id' AND t.table_type = 'BASE TABLE' AND c.table_schema IN ('public', 'dialer') ORDER BY name
"""
# Rows that stand there for a moment only, or for businesses that use what another test is about.
EMPTY = {
    "dialer.operations",
    "dialer.recordings",
    "dialer.refusals",
    "dialer.registers",
    "dialer.outbox",
    "dialer.do_not_call",
    "dialer.lead_numbers",
    "dialer.sessions",
    "dialer.stalls",
    "dialer.test_calls",
    "dialer.users",
}
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
# A lead has a variable, and the business an account that it has replaced.
FURTHER = (
    """
INSERT INTO dialer.lead_variables (business_id, run_id, position, variables)
SELECT business_id, run_id, position, '{"city": "x"}' FROM outbound_call_jobs WHERE business_id = $1 AND run_id = $2 LIMIT 1
""",
    """
INSERT INTO dialer.provider_accounts (business_id, account_sid, credentials, sealed, replaced_at)
SELECT business_id, 'AC' || $2::integer, 'auth_token', '', now() FROM dialer.businesses WHERE business_id = $1
""",
)
TAKEN = "SELECT count(*) FROM dialer.attempts WHERE created_at > $1 AND business_id = ANY ($2::integer[])"
BUCKET = re.compile(r'web_request_seconds_bucket\{le="([^"]+)",route="/callbacks/\{reference\}"\} (\S+)')


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
    """Of a while: leads taken a second, the bucket that holds 99 % of the callbacks' answers, and the longest cancel, in seconds."""

    pace: float
    callback_p99: float
    cancel_longest: float


class Traffic:
    """What the other businesses do: they dial all the while, and one of them cancels small runs."""

    def __init__(self, cluster: Cluster, others: Sequence[Tenant]) -> None:
        self.cluster = cluster
        self.ids = [tenant.business_id for tenant in others]
        self.canceller = others[0]

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
        before = await self.callbacks()
        pace, cancels = await asyncio.gather(self.pace(seconds), self.cancels(seconds))
        return Figures(round(pace, 1), within(before, await self.callbacks(), 0.99), round(max(cancels), 4))

    async def callbacks(self) -> dict[float, float]:
        """How many callbacks have been answered within so many seconds."""
        async with self.cluster.http.get(f"{self.cluster.url}/metrics") as response:
            text = await response.text()
        return {float(le.replace("+Inf", "inf")): float(count) for le, count in BUCKET.findall(text)}


def within(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """The bucket, in seconds, within which `share` of the requests between two readings were answered."""
    answered = {le: after[le] - before.get(le, 0.0) for le in sorted(after)}
    total = answered[max(answered)]
    return next(le for le, count in answered.items() if count >= share * total)


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
    assert {table: f for table, f in seen.items() if f[1].callback_p99 > max(CALLBACK_SECONDS, 4 * f[0].callback_p99)} == {}
    assert {table: f for table, f in seen.items() if f[1].cancel_longest > max(CANCEL_SECONDS, 4 * f[0].cancel_longest)} == {}
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
    control = await traffic.pace(CONTROL_SECONDS)

    async def recovered() -> bool:
        return await traffic.pace(1.0) >= PACE_KEPT * control

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
        lowest_pace=round(lowest / control, 2),
        recovered_after_at_most=round(after, 1),
        cancel=spread(took),
    )
    assert max(took) < CANCEL_SECONDS
    await stopped(cluster)
