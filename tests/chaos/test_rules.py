"""The rules of calling with real processes: workers are killed and Redis is lost, and the provider's call log breaks no rule."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

import pytest

from dialer.policy.calling_hours import WEEKDAYS
from tests.chaos.figures import keep
from tests.chaos.judge import call_records
from tests.chaos.limits import PAUSE_MINUTES, RETRIES, by_budget, by_cap, by_countries, by_hours, created_at, load, set_rules
from tests.chaos.polling import until

if TYPE_CHECKING:
    from tests.chaos.cluster import Cluster
    from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

LEADS, RETRIED, REFUSED = 60, 6, 10
MAX_PER_DAY = 3
# A call that was being placed when the answer was given may still be sent, until its deadline.
SEND_SECONDS = 5.0
CALLED_SECONDS = 60.0
SHOWN_SECONDS = 120.0


async def test_no_rule_is_broken_by_two_runs_two_workers_a_kill_and_a_lost_redis(cluster: Cluster) -> None:
    await cluster.scale(2)
    tenants = [await cluster.tenant() for _ in range(3)]
    leads = {tenant.business_id: cluster.leads(LEADS) for tenant in tenants}
    for tenant in tenants:
        await set_rules(cluster, tenant, min_gap_hours=24.0, max_per_day=MAX_PER_DAY)
    await cluster.numbers({lead["phone"]: "busy" for rows in leads.values() for lead in rows[:RETRIED]})
    runs = [[await load(tenant, leads[tenant.business_id]) for _ in range(2)] for tenant in tenants]
    closed_runs = [await load(tenant, cluster.leads(5), calling_hours=closed_now()) for tenant in tenants]
    others = [await limit(cluster) for limit in (by_budget, by_cap, by_countries, by_hours)]
    await tenants[0].taken(runs[0][0], 5)
    refused = [lead["phone"] for lead in leads[tenants[0].business_id][-REFUSED:]]
    status, answer = await tenants[0].request("POST", "/api/outbound/do-not-call", {"phones": refused})
    refused_at = datetime.now(UTC)
    assert (status, answer["added"]) == (200, REFUSED)
    await lose_a_worker_and_redis(cluster)
    for tenant, both, closed in zip(tenants, runs, closed_runs, strict=True):
        await until(partial(all_are_called, tenant, both), CALLED_SECONDS, "every number is called, by one of two runs")
        assert (await tenant.read_run(closed))["queued"] == 5
    for limited in others:
        await until(limited.shown, SHOWN_SECONDS, limited.broken.__name__)
    log = await call_records(cluster)
    calls = [call for tenant in tenants for call in log.calls_of(tenant)]
    of_rule = {limited.broken.__name__: log.calls_of(limited.tenant) for limited in others}
    assert broken(calls, set(refused), refused_at) == []
    assert [fault for limited in others for fault in limited.broken(of_rule[limited.broken.__name__])] == []
    assert {lead["phone"] for rows in leads.values() for lead in rows} - set(refused) <= {call["to"] for call in calls}
    after = {rule: sum(created_at(call) > refused_at for call in found) for rule, found in of_rule.items()}
    figures = {"calls": len(calls), "phones": len({call["to"] for call in calls}), **{rule: len(found) for rule, found in of_rule.items()}}
    keep("rules of calling under a kill and a lost Redis", **figures, after_the_kill=after)
    for tenant in [*tenants, *(limited.tenant for limited in others)]:
        await tenant.stop_all()


async def lose_a_worker_and_redis(cluster: Cluster) -> None:
    """Kill a worker and Valkey with all that it has; then start both anew."""
    await cluster.end(await cluster.busiest(), SIGKILL)
    await cluster.valkey.kill()
    await cluster.empty_valkey()
    await cluster.valkey.start()
    await cluster.start_worker()


async def all_are_called(tenant: Tenant, runs: list[int]) -> bool:
    """Whether each lead is finished in one run; the other waits for the gap to pass."""
    seen = [await tenant.read_run(run_id) for run_id in runs]
    finished = sum(run["completed"] + run["failed"] + run["skipped"] for run in seen)
    return finished >= LEADS and all(run["in_progress"] == 0 and run["cursor_position"] == LEADS for run in seen)


def closed_now() -> dict[str, Any]:
    """Hours of one day of the week: of that which is three days away in every zone."""
    return {WEEKDAYS[(datetime.now(UTC) + timedelta(days=3)).weekday()]: [["00:00", "24:00"]]}


def broken(calls: list[dict[str, Any]], refused: set[str], refused_at: datetime) -> list[str]:
    """What the call log says against the rules: a number is called again only by a retry, and not once it is refused."""
    found = []
    of_number: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call["created_at"]):
        of_number[call["from"], call["to"]].append(call)
    for (_, to), placed in of_number.items():
        created = [created_at(call) for call in placed]
        earlier = [call["status"] for call in placed[:-1]]
        if not set(earlier) <= RETRIES.keys() or len(set(earlier)) < len(earlier):
            found.append(f"{to} was called again after {earlier}")
        pauses = [at - datetime.fromisoformat(call["ended_at"]) for call, at in zip(placed, created[1:], strict=False)]
        if pauses and min(pauses) < timedelta(minutes=PAUSE_MINUTES):
            found.append(f"{to} was called again too early: {pauses}")
        if to in refused and created[-1] > refused_at + timedelta(seconds=SEND_SECONDS):
            found.append(f"{to} was called after the answer")
    return found
