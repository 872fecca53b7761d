"""Checks every promise from the call log of the simulator and from recounted rows, never from a counter of ours."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.chaos.watch import PARTS
from tests.rows import COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.chaos.cluster import Cluster
    from tests.chaos.tenant import Tenant

JOBS = """
SELECT j.id, j.run_id, j.status, j.phone, j.twilio_call_sid FROM outbound_call_jobs j WHERE j.business_id = $1
"""
OPEN = "SELECT cardinality(inflight) FROM dialer.lanes WHERE business_id = $1"
# Both times are database time: one before the locks of the claim, the other after those of the command.
TAKEN_AFTER = """
SELECT count(*) FROM dialer.attempts a
WHERE a.run_id = $1 AND a.created_at > (SELECT min(i.applied_at) FROM dialer.inbox i
                                        WHERE i.run_id = $1 AND i.type IN ('run.cancel', 'run.stop'))
"""
ATTEMPTS_TO = """
SELECT a.id, a.state, a.reason, a.sid, a.created_at, a.send_by, a.ended_at FROM dialer.attempts a
WHERE a.business_id = $1 AND a.phone = ANY ($2::text[]) ORDER BY a.id
"""
SIDS = "SELECT sid, excess FROM dialer.call_sids WHERE business_id = $1"


@dataclass(frozen=True, slots=True)
class CallRecords:
    """The simulator's call log: all `calls`, and all `requests` for one, successful or not."""

    calls: list[dict[str, Any]]
    requests: list[dict[str, Any]]

    def calls_of(self, tenant: Tenant) -> list[dict[str, Any]]:
        """The calls of one business."""
        return [call for call in self.calls if call["from"] == tenant.caller_id]

    def requests_of(self, tenant: Tenant, leads: Iterable[dict[str, Any]], after: datetime) -> list[dict[str, Any]]:
        """The requests for calls to these leads that came after a time."""
        numbers = {lead["phone"] for lead in leads}
        return [
            r for r in self.requests if r["from"] == tenant.caller_id and r["to"] in numbers and datetime.fromisoformat(r["at"]) > after
        ]


async def call_records(cluster: Cluster) -> CallRecords:
    """Fetch the call log of the simulator."""
    async with cluster.http.get(f"{cluster.simulator.url}/simulator/ledger") as response:
        return CallRecords(**await response.json())


async def most_at_once(cluster: Cluster) -> dict[str, int]:
    """The most calls each caller id ever had at one instant, as the simulator recounts them."""
    async with cluster.http.get(f"{cluster.simulator.url}/simulator/summary") as response:
        callers = (await response.json())["callers"]
    return {caller: found["most_at_once"] for caller, found in callers.items()}


async def taken_after(cluster: Cluster, run_id: int) -> int:
    """How many leads of a run were taken after its first cancel or stop."""
    return int(await cluster.value(TAKEN_AFTER, run_id))


async def judge(cluster: Cluster, tenants: Iterable[Tenant], *, calls_each: int = 1, excess: int = 0) -> dict[str, int]:
    """Check every promise, all runs of these businesses having ended; return the figures.

    `excess` calls more than a business may have are allowed: those that a provider listed later than promised.

    Raises:
        AssertionError: naming what was broken.
    """
    judged = list(tenants)
    records, most = await call_records(cluster), await most_at_once(cluster)
    figures = {"businesses": len(judged), "leads": 0, "calls": 0, "most_at_once": 0}
    for tenant in judged:
        calls = records.calls_of(tenant)
        at_once = most.get(tenant.caller_id, 0)
        assert at_once <= tenant.max_calls + excess, f"{at_once} calls at once"
        repeated = {to: n for to, n in Counter(call["to"] for call in calls).items() if n > calls_each}
        assert not repeated, f"called more than {calls_each} times: {await _history_of(cluster, tenant, calls, list(repeated))}"
        await _recount(cluster, tenant)
        await _every_call_is_known(cluster, tenant, calls)
        figures["leads"] += sum(map(len, tenant.runs.values()))
        figures["calls"] += len(calls)
        figures["most_at_once"] = max(figures["most_at_once"], at_once)
    assert cluster.watch.wrong == [], "; ".join(cluster.watch.wrong[:5])
    return {**figures, "polls": cluster.watch.polls}


async def _history_of(cluster: Cluster, tenant: Tenant, calls: list[dict[str, Any]], numbers: list[str]) -> str:
    """The calls to these numbers, and our attempts to call them: the times tell which of two came late."""
    attempts = await cluster.rows(ATTEMPTS_TO, tenant.business_id, numbers)
    return "\n".join([*(f"call {call}" for call in calls if call["to"] in numbers), *(f"attempt {dict(row)}" for row in attempts)])


async def _recount(cluster: Cluster, tenant: Tenant) -> None:
    for run_id, leads in tenant.runs.items():
        run = await tenant.read_run(run_id)
        [row] = await cluster.rows(COUNTED, tenant.business_id, run_id)
        counted = {part: row[part] for part in PARTS}
        assert counted == {part: run[part] for part in PARTS}, f"{counted} rows, {run}"
        assert sum(counted.values()) == len(leads) == run["total_leads"]
        assert counted["queued"] == counted["in_progress"] == 0, run


async def _every_call_is_known(cluster: Cluster, tenant: Tenant, calls: list[dict[str, Any]]) -> None:
    """Our calls are those of the simulator, none is open, and each lead's outcome is that of its call."""
    jobs = await cluster.rows(JOBS, tenant.business_id)
    known = {row["sid"] for row in await cluster.rows(SIDS, tenant.business_id)}
    assert await cluster.value(OPEN, tenant.business_id) == 0
    assert {call["sid"] for call in calls} == known
    assert [call for call in calls if call["ended_at"] is None] == []
    statuses = {call["sid"]: call["status"] for call in calls}
    called = {job["phone"] for job in jobs if job["status"] in {"completed", "failed"}}
    assert called <= {call["to"] for call in calls}, "a lead that was never called counts as called"
    for job in jobs:
        if job["status"] == "completed":
            assert statuses[job["twilio_call_sid"]] == "completed"
        elif job["status"] == "failed":
            assert statuses[job["twilio_call_sid"]] in {"busy", "no-answer", "failed"}
