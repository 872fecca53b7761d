"""One honcho for all: with calls in progress a worker is killed, one is frozen, a new version is deployed; judged as in tests/chaos."""

from __future__ import annotations

from datetime import UTC, datetime
from signal import SIGKILL, SIGSTOP, SIGTERM
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.chaos.figures import keep
from tests.chaos.judge import call_records, judge, taken_after
from tests.chaos.test_servers import Runs, completed, dialing, go_on
from tests.platforms.conftest import PLATFORMS
from tests.platforms.procfile import WORKERS, FormationCluster, lives

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

SPEED = 40.0
BUSINESSES, LEADS = 3, 60
# Callbacks are lost while no web process runs: a slot is free some 15 s after its call has ended, and later on a busy machine.
BACK_SECONDS = 60.0
# What a shell says of a program that a signal has ended, and honcho after it.
KILLED, TERMINATED = 128 + SIGKILL, 128 + SIGTERM


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PLATFORMS)
async def shared_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FormationCluster]:
    """The formation on one platform."""
    async with FormationCluster(tmp_path_factory.mktemp("formation"), speed=SPEED, **PLATFORMS[request.param]) as made:
        yield made


async def again(cluster: FormationCluster, runs: Runs) -> float:
    """Start everything, as a platform does; how many seconds it then takes until leads are taken."""
    await cluster.start_web()
    return await go_on(cluster, runs, BACK_SECONDS)


async def kill_a_worker(cluster: FormationCluster) -> None:
    """It takes all others with it."""
    victim, other = cluster.honcho.started("actors")
    victim.send_signal(SIGKILL)
    assert await cluster.ended() == KILLED
    assert not lives(other)


async def freeze_a_worker(cluster: FormationCluster) -> None:
    """It does not heed SIGTERM, so honcho kills it after 5 s."""
    frozen, _ = cluster.honcho.started("actors")
    frozen.send_signal(SIGSTOP)
    cluster.honcho.send(SIGTERM)
    assert await cluster.ended() == TERMINATED


async def deploy(cluster: FormationCluster) -> None:
    """The release step comes first, beside the old processes."""
    await cluster.release()
    assert len(cluster.honcho.started()) == 1 + WORKERS
    cluster.honcho.send(SIGTERM)
    assert await cluster.ended() == TERMINATED


async def test_a_kill_a_freeze_and_a_deploy_with_calls_in_progress(cluster: FormationCluster) -> None:
    runs: Runs = []
    waits = {}
    for fault in (kill_a_worker, freeze_a_worker, deploy):
        (tenant, run_id), *others = await dialing(cluster, LEADS, BUSINESSES)
        # What was cancelled before stays so.
        await tenant.cancel(run_id, wait=True)
        answered_at = datetime.now(UTC)
        await fault(cluster)
        waits[fault.__name__] = await again(cluster, others)
        assert (await tenant.ended(run_id))["status"] == "cancelled"
        assert await taken_after(cluster, run_id) == 0
        assert (await call_records(cluster)).requests_of(tenant, tenant.runs[run_id], answered_at) == []
        await judge(cluster, [tenant])
        runs += others
    keep("honcho: a kill, a freeze and a deploy", leads_taken_again_after=waits, **await completed(cluster, runs))
