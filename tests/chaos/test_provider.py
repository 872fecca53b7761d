"""The provider loses responses, is overloaded, fails, and its callbacks arrive twice, late, out of order or never."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.chaos.figures import keep, spread, trials
from tests.chaos.judge import call_records, judge
from tests.chaos.polling import lasting, until

if TYPE_CHECKING:
    from tests.chaos.cluster import Cluster
    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

BUSINESSES = 4
SETTLED_SECONDS = 5.0
# An attempt that a call exists for is settled by its callbacks; one without is, by rule 4 of the protocol, when the second list was
# asked for later than L after send_by, and the first 2 s after it.
LATE = """
SELECT extract(epoch FROM a.ended_at - greatest(a.send_by + interval '2 seconds', a.send_by + make_interval(secs => $2)))::float8
FROM dialer.attempts a WHERE a.business_id = $1 AND a.state = 'not_placed'
"""
LAG_SECONDS = 2
# All slots are held until absence is shown, 7 s after the claims; a dozen failures in a row would open the circuit breaker for 30 s.
OPENED_ONCE_SECONDS = 12.0
STATES = "SELECT state, count(*) FROM dialer.attempts WHERE business_id = ANY ($1::integer[]) GROUP BY state"
# How many attempts are unknown now, and how many of them hold a slot.
UNKNOWN = """
SELECT count(*) FILTER (WHERE a.id = ANY (l.inflight)) AS held, count(*) AS unknown
FROM dialer.attempts a JOIN dialer.lanes l ON l.business_id = a.business_id
WHERE a.state = 'unknown' AND a.business_id = ANY ($1::integer[])
"""
SETTLED = """
SELECT extract(epoch FROM ended_at - created_at)::float8 FROM dialer.attempts WHERE business_id = ANY ($1::integer[]) AND state = 'over'
"""


async def dial(cluster: Cluster, leads: int, **faults: float) -> list[Tenant]:
    """Let businesses dial under faults until all their runs have ended."""
    await cluster.faults(**faults)
    tenants = [await cluster.tenant() for _ in range(BUSINESSES)]
    runs = [(tenant, await tenant.run(cluster.leads(leads))) for tenant in tenants]
    for tenant, run_id in runs:
        run = await tenant.ended(run_id, 600)
        assert run["status"] == "completed", run
    return tenants


async def states(cluster: Cluster, tenants: list[Tenant]) -> dict[str, int]:
    """How many attempts ended how."""
    return {row["state"]: row["count"] for row in await cluster.rows(STATES, [tenant.business_id for tenant in tenants])}


async def late_by(cluster: Cluster, tenants: list[Tenant]) -> list[float]:
    """How many seconds after the moment the protocol allows each attempt that was never placed was declared so."""
    return [row[0] for tenant in tenants for row in await cluster.rows(LATE, tenant.business_id, LAG_SECONDS)]


async def test_answers_are_lost(cluster: Cluster) -> None:
    """One in ten after the call was made, one in five before: often enough that every trial has some of both."""
    tenants = await dial(cluster, trials(30), drop_after=0.1, drop_before=0.2)
    figures = await judge(cluster, tenants)
    late = await late_by(cluster, tenants)
    # Every lead was called, whatever became of the first answer.
    assert figures["calls"] == figures["leads"]
    keep("30 % of create answers lost", late=spread(late), states=await states(cluster, tenants), **figures)
    assert late, "no answer was lost before its call was made"
    assert max(late) < SETTLED_SECONDS


async def test_an_unknown_attempt_keeps_its_slot(cluster: Cluster) -> None:
    await cluster.faults(drop_before=1.0, first_requests=3)
    tenant = await cluster.tenant()
    run_id = await tenant.run(cluster.leads(6))

    async def all_unknown() -> bool:
        [row] = await cluster.rows(UNKNOWN, [tenant.business_id])
        return bool(row["unknown"] == row["held"] == 3)

    await until(all_unknown, 10, "three attempts are unknown and hold the three slots")
    assert (await tenant.read_run(run_id))["in_progress"] == 3
    await tenant.ended(run_id)
    figures = await judge(cluster, [tenant])
    late = await late_by(cluster, [tenant])
    assert len(late) == 3
    assert max(late) < SETTLED_SECONDS
    keep("three unknown attempts hold three slots", late=spread(late), **figures)


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("answers later than the deadline", {"delay_answer": 0.2, "delay_answer_seconds": 6.0}),
        ("20 % of 429 and 5 % of 503", {"throttle": 0.2, "error_before": 0.05}),
        ("503 after the call was made, and half an answer", {"error_after": 0.1, "garble": 0.1}),
        ("callbacks twice, late and in the wrong order", {"callback_duplicate": 0.3, "callback_reorder": 0.3, "callback_delay": 0.3}),
    ],
)
async def test_nothing_is_lost_or_burned(cluster: Cluster, name: str, faults: dict[str, float]) -> None:
    tenants = await dial(cluster, trials(12), **faults)
    figures = await judge(cluster, tenants)
    assert figures["calls"] == figures["leads"]
    late = await late_by(cluster, tenants)
    keep(name, late=spread(late), states=await states(cluster, tenants), **figures)
    assert max(late, default=0.0) < SETTLED_SECONDS


async def test_answers_that_fail_together_open_the_breaker_once(cluster: Cluster) -> None:
    """A hiccup of the provider's, met by every POST on its way, is one failure and not a dozen."""
    tenant = await cluster.tenant(max_calls=12)
    # A half-open circuit breaker lets one call through alone; one successful answer closes it, whatever failed before at this worker.
    assert (await tenant.ended(await tenant.run(cluster.leads(1))))["status"] == "completed"
    [first] = (await call_records(cluster)).calls_of(tenant)
    await cluster.faults(drop_before=1.0, first_requests=12)
    run_id = await tenant.run(cluster.leads(24), concurrency=12)
    assert (await tenant.ended(run_id))["status"] == "completed"
    figures = await judge(cluster, [tenant])
    records = await call_records(cluster)
    created = [datetime.fromisoformat(call["created_at"]) for call in records.calls_of(tenant) if call["sid"] != first["sid"]]
    asked = [datetime.fromisoformat(request["at"]) for request in records.requests if request["from"] == tenant.caller_id]
    pause = (min(created) - sorted(asked)[1]).total_seconds()
    keep("twelve answers fail together", calls_again_after=round(pause, 2), **figures)
    assert pause < OPENED_ONCE_SECONDS


@pytest.mark.parametrize("scenario", ["busy"] if trials(1) == 1 else ["busy", "mix"])
async def test_every_callback_is_lost(cluster: Cluster, scenario: str) -> None:
    """Found by asking: 15 s after a call was placed; 60 s after it was answered, when the fetch of the script was the last request."""
    await cluster.faults(callback_drop=1.0)
    tenants = [await cluster.tenant() for _ in range(BUSINESSES)]
    leads = [cluster.leads(3) for _ in tenants]
    await cluster.numbers({lead["phone"]: scenario for some in leads for lead in some})
    runs = [(tenant, await tenant.run(some)) for tenant, some in zip(tenants, leads, strict=True)]
    for tenant, run_id in runs:
        assert (await tenant.ended(run_id, 120))["status"] == "completed"
    figures = await judge(cluster, tenants)
    assert figures["calls"] == figures["leads"]
    rows = await cluster.rows(SETTLED, [tenant.business_id for tenant in tenants])
    keep(f"all callbacks lost ({scenario}), seconds from claim to settled", settled=spread([row[0] for row in rows]), **figures)


async def test_connections_are_refused(cluster: Cluster) -> None:
    """No lead fails, no slot is frozen as unknown, and it goes on by itself."""
    tenants = [await cluster.tenant() for _ in range(BUSINESSES)]
    runs = [(tenant, await tenant.run(cluster.leads(40))) for tenant in tenants]
    for tenant, run_id in runs:
        await tenant.taken(run_id, 10)
    cluster.provider_proxy.refuse()
    away_seconds = 5.0 if trials(1) == 1 else 60.0
    await lasting(away_seconds)
    await cluster.provider_proxy.accept()
    opened_at = datetime.now(UTC)
    for tenant, run_id in runs:
        run = await tenant.ended(run_id, 120)
        assert run["status"] == "completed"
    figures = await judge(cluster, tenants)
    assert figures["calls"] == figures["leads"]
    found = await states(cluster, tenants)
    assert set(found) <= {"over", "not_sent"}
    rows = await cluster.rows("SELECT count(*) FROM dialer.attempts WHERE reason IS NOT NULL AND state = 'over' AND sid IS NULL")
    assert rows[0][0] == 0
    first = await cluster.value(
        "SELECT min(created_at) FROM dialer.attempts WHERE created_at > $1 AND state = 'over' AND business_id = ANY ($2::integer[])",
        opened_at,
        [tenant.business_id for tenant in tenants],
    )
    back = (first - opened_at).total_seconds()
    keep(f"connections refused for {away_seconds:g} s", states=found, goes_on_after_seconds=round(back, 2), **figures)
