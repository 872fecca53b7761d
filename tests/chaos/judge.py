"""The verdict: from the simulator's ledger and from rows counted anew, never from a counter that we keep.

On the road of a call: at its end, and on the telephone company's side of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.chaos.watch import PARTS
from tests.rows import COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.chaos.tenant import Tenant
    from tests.chaos.town import Cluster

FINAL = ["completed", "failed", "cancelled", "skipped"]
JOBS = """
SELECT j.id, j.run_id, j.status, j.phone, j.twilio_call_sid FROM outbound_call_jobs j WHERE j.business_id = $1
"""
OPEN = "SELECT cardinality(inflight) FROM dialer.lanes WHERE business_id = $1"
# Both times are of the database's clock, one before the claim's locks, the other after the command's.
TAKEN_AFTER = """
SELECT count(*) FROM dialer.attempts a
WHERE a.run_id = $1 AND a.created_at > (SELECT min(i.applied_at) FROM dialer.inbox i
                                        WHERE i.run_id = $1 AND i.type IN ('run.cancel', 'run.stop'))
"""
SIDS = "SELECT sid, excess FROM dialer.call_sids WHERE business_id = $1"


@dataclass(frozen=True, slots=True)
class CallRecords:
    """The simulator's ledger: `calls` that exist, and `requests` for one, whatever became of them."""

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


async def book(town: Cluster) -> CallRecords:
    """Ask the simulator for its ledger."""
    async with town.http.get(f"{town.simulator.url}/simulator/ledger") as response:
        return CallRecords(**await response.json())


async def most_at_once(town: Cluster) -> dict[str, int]:
    """The most calls each caller id ever had at one instant, as the simulator recounts them."""
    async with town.http.get(f"{town.simulator.url}/simulator/summary") as response:
        callers = (await response.json())["callers"]
    return {caller: found["most_at_once"] for caller, found in callers.items()}


async def taken_after(town: Cluster, run_id: int) -> int:
    """How many leads of a run were taken after its first cancel or stop."""
    return int(await town.value(TAKEN_AFTER, run_id))


async def judge(town: Cluster, tenants: Iterable[Tenant], *, calls_each: int = 1, excess: int = 0) -> dict[str, int]:
    """Hold every promise against what happened, all runs of these businesses having ended; return the figures.

    `excess` calls more than a business may have are forgiven: those a provider showed later than it promised.

    Raises:
        AssertionError: naming what was broken.
    """
    judged = list(tenants)
    ledger, most = await book(town), await most_at_once(town)
    figures = {"businesses": len(judged), "leads": 0, "calls": 0, "most_at_once": 0}
    for tenant in judged:
        calls = ledger.calls_of(tenant)
        at_once = most.get(tenant.caller_id, 0)
        assert at_once <= tenant.max_calls + excess, f"{at_once} calls at once"
        repeated = {to: n for to, n in Counter(call["to"] for call in calls).items() if n > calls_each}
        assert not repeated, f"called more than {calls_each} times: {repeated}"
        await _recount(town, tenant)
        await _every_call_is_known(town, tenant, calls)
        figures["leads"] += sum(map(len, tenant.runs.values()))
        figures["calls"] += len(calls)
        figures["most_at_once"] = max(figures["most_at_once"], at_once)
    assert town.watch.wrong == [], "; ".join(town.watch.wrong[:5])
    return {**figures, "polls": town.watch.polls}


async def _recount(town: Cluster, tenant: Tenant) -> None:
    for run_id, leads in tenant.runs.items():
        run = await tenant.seen(run_id)
        [row] = await town.rows(COUNTED, tenant.business_id, run_id)
        counted = {part: row[part] for part in PARTS}
        assert counted == {part: run[part] for part in PARTS}, f"{counted} rows, {run}"
        assert sum(counted.values()) == len(leads) == run["total_leads"]
        assert counted["queued"] == counted["in_progress"] == 0, run


async def _every_call_is_known(town: Cluster, tenant: Tenant, calls: list[dict[str, Any]]) -> None:
    """Nothing is on the line in the log but not at the telephone company, and the other way round; each lead's end is its call's."""
    jobs = await town.rows(JOBS, tenant.business_id)
    known = {row["sid"] for row in await town.rows(SIDS, tenant.business_id)}
    assert await town.value(OPEN, tenant.business_id) == 0
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
