"""Businesses that one rule of calling limits each: how their runs are loaded, and what the provider's call log says against the rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from dialer.policy.calling_hours import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.chaos.cluster import Cluster
    from tests.chaos.tenant import Tenant

Call = dict[str, Any]
Lead = dict[str, Any]

LEADS, CAP, BUDGET = 60, 2, 50
# Between the start of the runs and the whole minute at which hours close and open: from this to a minute more.
BEFORE_MINUTE = timedelta(seconds=10)
PAUSE_MINUTES = 0.02
RETRIES = {outcome: {"times": 1, "after_minutes": [PAUSE_MINUTES]} for outcome in ("busy", "no-answer")}
# Of a number that is always busy: longer than until that minute.
EVERY_FEW_SECONDS = {"busy": {"times": 20, "after_minutes": [0.07]}}
CAPPED = """
SELECT count(DISTINCT j.phone) FROM dialer.refusals f JOIN outbound_call_jobs j ON j.id = f.job_id
WHERE f.business_id = $1 AND f.rule = 'daily_cap'
"""


@dataclass(frozen=True, slots=True)
class Limited:
    """A business that a rule limits: `shown` once the rule has been put to the test, `broken` is what its calls say against it."""

    tenant: Tenant
    shown: Callable[[], Awaitable[bool]]
    broken: Callable[[list[Call]], list[str]]


async def set_rules(cluster: Cluster, tenant: Tenant, **columns: object) -> None:
    for name, value in columns.items():
        await cluster.pool.execute(f"UPDATE dialer.businesses SET {name} = $2 WHERE business_id = $1", tenant.business_id, value)  # noqa: S608 our own names


async def load(tenant: Tenant, leads: list[Lead], **settings: object) -> int:
    """Load a run with settings of its own, and start it."""
    body = {"leads": leads, "start": True, "retries": RETRIES, **settings}
    status, response = await tenant.request("POST", "/api/outbound/runs", body)
    assert status == 201, response
    run_id = int(response["run_id"])
    tenant.runs[run_id] = leads
    return run_id


async def by_budget(cluster: Cluster) -> Limited:
    """A run may make fewer calls than it has leads."""
    tenant = await cluster.tenant()
    run_id = await load(tenant, cluster.leads(2 * LEADS), budget={"calls": BUDGET})

    async def is_paused() -> bool:
        run = await tenant.read_run(run_id)
        return bool(run["status"] == "paused" and run["in_progress"] == 0)

    def budget(calls: list[Call]) -> list[str]:
        return [f"{len(calls)} calls"] * (len(calls) > BUDGET)

    return Limited(tenant, is_paused, budget)


async def by_cap(cluster: Cluster) -> Limited:
    """Two runs and their retries would call each number four times today; it is noon, so today does not end."""
    tenant = await cluster.tenant()
    await set_rules(cluster, tenant, min_gap_hours=0.0, max_per_day=CAP)
    leads = [{**lead, "timezone": noon().key} for lead in cluster.leads(LEADS)]
    await cluster.numbers({lead["phone"]: "busy" for lead in leads})
    for _ in range(2):
        await load(tenant, leads)

    async def all_are_refused() -> bool:
        return bool(await cluster.value(CAPPED, tenant.business_id) == len(leads))

    def daily_cap(calls: list[Call]) -> list[str]:
        return [f"{to}: {count} calls" for to, count in Counter(call["to"] for call in calls).items() if count > CAP]

    return Limited(tenant, all_are_refused, daily_cap)


async def by_countries(cluster: Cluster) -> Limited:
    """Every other lead is in a country that is not allowed."""
    tenant = await cluster.tenant()
    await set_rules(cluster, tenant, allowed_countries=["IL"])
    foreign = [{"lead_id": n, "phone": f"+165025300{n}"} for n in range(10, 10 + LEADS)]
    run_id = await load(tenant, [lead for pair in zip(foreign, cluster.leads(LEADS), strict=True) for lead in pair])

    async def has_ended() -> bool:
        run = await tenant.read_run(run_id)
        return bool(run["completed"] + run["failed"] == run["skipped"] == LEADS)

    def countries(calls: list[Call]) -> list[str]:
        return [call["to"] for call in calls if not call["to"].startswith("+972")]

    return Limited(tenant, has_ended, countries)


async def by_hours(cluster: Cluster) -> Limited:
    """The hours of a run close at a whole minute, with retries to come; those of another open then."""
    tenant = await cluster.tenant()
    minute = (datetime.now(UTC) + BEFORE_MINUTE).replace(second=0, microsecond=0) + timedelta(minutes=1)
    zone = noon()
    then = f"{minute.astimezone(zone):%H:%M}"
    closing, opening = ([{**lead, "timezone": zone.key} for lead in cluster.leads(10)] for _ in range(2))
    await cluster.numbers({lead["phone"]: "busy" for lead in closing})
    closes = await load(tenant, closing, retries=EVERY_FEW_SECONDS, calling_hours=every_day("00:00", then))
    opens = await load(tenant, opening, calling_hours=every_day(then, "24:00"))

    async def has_closed_and_opened() -> bool:
        one, other = [await tenant.read_run(run_id) for run_id in (closes, opens)]
        return bool(other["queued"] == other["in_progress"] == 0 and one["queued"] == len(closing))

    def hours(calls: list[Call]) -> list[str]:
        late = {lead["phone"] for lead in opening}
        return [f"{call['to']} at {call['created_at']}" for call in calls if (call["to"] in late) != (created_at(call) >= minute)]

    return Limited(tenant, has_closed_and_opened, hours)


def noon() -> ZoneInfo:
    """A time zone in which it is between twelve and one."""
    return ZoneInfo(f"Etc/GMT{datetime.now(UTC).hour - 12:+d}")


def every_day(opens: str, closes: str) -> dict[str, Any]:
    return {**{day: [[opens, closes]] for day in WEEKDAYS}, "holidays": "open"}


def created_at(call: Call) -> datetime:
    return datetime.fromisoformat(call["created_at"])
