"""Commands and limits at the worst moment: in pairs, from two workers, while calls are in progress, between the last call and the end."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from sql.businesses.businesses import Businesses
from telephony.simulator.randomness import between
from tests.chaos.cluster import Cluster
from tests.chaos.external_client import EVENTS, command, connected
from tests.chaos.figures import keep, trials
from tests.chaos.judge import call_records, judge
from tests.chaos.polling import lasting, until
from tests.chaos.watch import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.chaos.external_client import ExternalClient

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

SPEED = 20.0
DECIDED_SECONDS = 15.0
CLAIMED = "SELECT sid FROM dialer.attempts WHERE business_id = $1 AND created_at > $2 AND created_at < $3"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of this file."""
    async with Cluster(tmp_path_factory.mktemp("commands"), speed=SPEED) as cluster:
        yield cluster


async def test_pause_and_resume_in_one_pipeline_ends_resumed(cluster: Cluster) -> None:
    await cluster.scale(2)
    tenant = await cluster.tenant()
    run_id = await tenant.run(cluster.leads(400))
    await tenant.taken(run_id, 3)
    async with connected(cluster.valkey.url) as service:
        for n in range(pairs := trials(30)):
            await service.send(command(tenant, run_id, "run.pause", f"pause-{n}"), command(tenant, run_id, "run.resume", f"resume-{n}"))
        await until(lambda: answered(service, run_id, 2 * pairs), DECIDED_SECONDS + pairs / 20, "every command is answered")
        events = await service.read(EVENTS, [run_id])
    assert (await tenant.read_run(run_id))["status"] == "running"
    kinds = [event["type"] for event in events]
    assert "command.rejected" not in kinds
    assert [kind for kind in kinds if kind in {"run.paused", "run.resumed"}] == ["run.paused", "run.resumed"] * pairs
    await tenant.stop(run_id)
    await tenant.ended(run_id)
    keep("pause and resume in one pipeline", pairs=pairs, **await judge(cluster, [tenant]))


async def answered(service: ExternalClient, run_id: int, commands: int) -> bool:
    """True when so many of our commands of a run have been answered, each once."""
    ids = [event["command_id"] for event in await service.read(EVENTS, [run_id]) if event["type"].startswith("command.")]
    ours = [identity for identity in ids if identity.startswith(("pause-", "resume-"))]
    assert len(ours) == len(set(ours))
    return len(ours) == commands


async def test_fewer_calls_at_once_while_more_are_on_the_line(cluster: Cluster) -> None:
    tenant = await cluster.tenant()
    run_id = await tenant.run(cluster.leads(40))
    await tenant.until(run_id, lambda run: run["in_progress"] == 3)
    await Businesses(cluster.pool).set_max_calls(tenant.business_id, 1)
    lowered_at = await cluster.value("SELECT clock_timestamp()")
    before = await tenant.read_run(run_id)
    await tenant.taken(run_id, before["cursor_position"] + 8)
    await Businesses(cluster.pool).set_max_calls(tenant.business_id, 3)
    raised_at = await cluster.value("SELECT clock_timestamp()")
    assert (await tenant.ended(run_id))["status"] == "completed"
    figures = await judge(cluster, [tenant])
    calls = (await call_records(cluster)).calls_of(tenant)
    # Claimed, not only sent, while one was allowed.
    sids = {row["sid"] for row in await cluster.rows(CLAIMED, tenant.business_id, lowered_at, raised_at)}
    later = [call for call in calls if call["sid"] in sids and datetime.fromisoformat(call["created_at"]) < raised_at]
    assert len(later) >= 7
    # Calls in progress may finish; a new one starts only when none is left.
    for call in later:
        assert at_once(calls, datetime.fromisoformat(call["created_at"])) == 1
    keep("max_calls lowered from 3 to 1 with three live", calls_while_lowered=len(later), **figures)


def at_once(calls: Iterable[dict[str, Any]], moment: datetime) -> int:
    """How many of these calls existed at a moment."""
    return sum(datetime.fromisoformat(call["created_at"]) <= moment < datetime.fromisoformat(call["ended_at"]) for call in calls)


async def test_the_same_phones_in_two_runs_at_once(cluster: Cluster) -> None:
    tenant = await cluster.tenant()
    leads = cluster.leads(8)
    runs = [await tenant.run(leads) for _ in range(2)]
    for run_id in runs:
        assert (await tenant.ended(run_id, 120))["status"] == "completed"
    figures = await judge(cluster, [tenant], calls_each=2)
    by_phone = defaultdict(list)
    for call in (await call_records(cluster)).calls_of(tenant):
        by_phone[call["to"]].append(call)
    assert all(len(calls) == 2 for calls in by_phone.values())
    for calls in by_phone.values():
        assert max(at_once(calls, datetime.fromisoformat(call["created_at"])) for call in calls) == 1
    keep("the same phones in two runs at once", **figures)


async def test_a_kill_between_the_last_call_and_the_end_of_the_run(cluster: Cluster) -> None:
    """By timing: the worker is killed around the moment at which the last calls end, again and again."""
    await cluster.scale(2)
    tenants = [await cluster.tenant() for _ in range(3)]
    ended_before = 0
    for n in range(kills := trials(3)):
        runs = [(tenant, await tenant.run(cluster.leads(4))) for tenant in tenants]
        for tenant, run_id in runs:
            await tenant.until(run_id, lambda run: run["queued"] == 0)
        await lasting(between(0, 1.5, 1, "last", n))
        ended_before += sum([(await tenant.read_run(run_id))["status"] in ENDED for tenant, run_id in runs])
        await cluster.end(await cluster.busiest(), SIGKILL)
        await cluster.start_worker()
        for tenant, run_id in runs:
            assert (await tenant.ended(run_id))["status"] == "completed"
    keep("kill around the end of a run", kills=kills, ended_before_the_kill=ended_before, **await judge(cluster, tenants))
