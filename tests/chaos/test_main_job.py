"""The main job with real processes: it never stalls, slots are a business's own, cancel and stop hold, a killed worker loses nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest

from tests.chaos.external_client import EVENTS, REJECTED, ExternalClient, command, connected
from tests.chaos.figures import keep
from tests.chaos.judge import call_records, judge, most_at_once, taken_after
from tests.chaos.polling import until
from tests.chaos.watch import PAUSE_SECONDS

if TYPE_CHECKING:
    from tests.chaos.cluster import Cluster

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


async def test_five_hundred_leads_never_stall(cluster: Cluster) -> None:
    tenant = await cluster.tenant()
    cluster.watch.pause_seconds = 0.02
    try:
        run_id = await tenant.run(cluster.leads(500))
        run = await tenant.ended(run_id, 180)
    finally:
        cluster.watch.pause_seconds = PAUSE_SECONDS
    assert run["status"] == "completed"
    figures = await judge(cluster, [tenant])
    assert figures["calls"] == 500
    assert figures["most_at_once"] == 3
    keep("500 leads at one business", **figures)


async def test_two_runs_share_three_slots_and_two_businesses_share_none(cluster: Cluster) -> None:
    one, other = await cluster.tenant(), await cluster.tenant()
    first = await one.run(cluster.leads(40))
    second = await one.run(cluster.leads(40))
    third = await other.run(cluster.leads(40))
    half = await one.taken(second, 20)
    # Both runs of one business are served, neither after the other.
    assert half["status"] == "running"
    assert (await one.read_run(first))["status"] == "running"
    for tenant, run_id in ((one, first), (one, second), (other, third)):
        assert (await tenant.ended(run_id))["status"] == "completed"
    figures = await judge(cluster, [one, other])
    most = await most_at_once(cluster)
    assert most[one.caller_id] == most[other.caller_id] == 3
    keep("two runs of one business and one of another", **figures)


@pytest.mark.parametrize(
    ("how", "wait", "hang_up"),
    [("cancel", False, False), ("cancel", True, True), ("stop", True, False), ("stop", False, True)],
)
async def test_cancel_and_stop_in_the_middle(cluster: Cluster, how: str, *, wait: bool, hang_up: bool) -> None:
    tenant = await cluster.tenant()
    leads = cluster.leads(60)
    run_id = await tenant.run(leads)
    await tenant.taken(run_id, 15)
    response = await (tenant.cancel if how == "cancel" else tenant.stop)(run_id, wait=wait, hang_up=hang_up)
    answered_at = datetime.now(UTC)
    run = await tenant.ended(run_id)
    assert run["status"] == ("cancelled" if how == "cancel" else "stopped")
    assert await taken_after(cluster, run_id) == 0
    assert run["failed"] + run["completed"] + run["cancelled"] == 60
    after = (await call_records(cluster)).requests_of(tenant, leads, answered_at)
    assert len(after) <= response["in_progress"]
    if wait:
        assert after == []
        assert response["uncertain"] == 0
    again = await (tenant.cancel if how == "cancel" else tenant.stop)(run_id)
    assert again["already_ended"] is True
    assert again["status"] == run["status"]
    await judge(cluster, [tenant])


async def test_the_only_worker_is_killed_and_another_goes_on(cluster: Cluster) -> None:
    tenants = [await cluster.tenant() for _ in range(3)]
    runs = [(tenant, await tenant.run(cluster.leads(60))) for tenant in tenants]
    await asyncio.gather(*(tenant.taken(run_id, 20) for tenant, run_id in runs))
    await cluster.end(await cluster.busiest(), SIGKILL)
    await cluster.start_worker()
    for tenant, run_id in runs:
        assert (await tenant.ended(run_id))["status"] == "completed"
    figures = await judge(cluster, tenants)
    assert figures["calls"] == 180
    keep("kill -9 of the only worker", **figures)


async def test_another_service_starts_and_cancels_with_a_plain_xadd(cluster: Cluster) -> None:
    tenant = await cluster.tenant()
    run_id = await tenant.run(cluster.leads(60), start=False)
    async with connected(cluster.valkey.url) as other:
        bad = {"v": "1", "type": "run.dance", "business_id": "x"}
        await other.send(*({**bad, "id": f"bad-{run_id}-{n}"} for n in range(10)))
        await other.send(*[command(tenant, run_id, "run.start")] * 2)
        await tenant.taken(run_id, 10)
        await other.send(*[command(tenant, run_id, "run.cancel")] * 2)
        run = await tenant.ended(run_id)
        assert run["status"] == "cancelled"
        assert run["cancelled"] > 0
        # The answer to a repeated command may come after the end of the run.
        await until(lambda: published(other, run_id), 10, "the end of the run and four answers are published")
        events = await other.read(EVENTS, [run_id])
        rejected = await other.read(REJECTED)
    kinds = [event["type"] for event in events]
    assert kinds.count("run.started") == kinds.count("run.finished") == 1
    assert kinds.count("command.accepted") == 4
    assert sum('"duplicate": true' in event["data"] for event in events) == 2
    assert sum(fields.get("id", "").startswith(f"bad-{run_id}-") for fields in rejected) == 10
    keep("plain XADD after ten malformed", **await judge(cluster, [tenant]))


async def published(other: ExternalClient, run_id: int) -> bool:
    kinds = [event["type"] for event in await other.read(EVENTS, [run_id])]
    return "run.finished" in kinds and kinds.count("command.accepted") >= 4
