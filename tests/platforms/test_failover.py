"""The primary is killed in the middle of runs, its synchronous standby promoted: what was answered holds, nobody is called twice."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.chaos.cluster import Cluster
from tests.chaos.figures import keep
from tests.chaos.polling import until
from tests.chaos.test_servers import completed, dialing, go_on
from tests.pgbouncer import Mode
from tests.standby import MovingPair, PostgresPair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

SPEED = 40.0
BACK_SECONDS = 60.0
# 7 s pass before a business dials again: the lag and 5 s more (decision 0009).
FOUND = "SELECT count(*) FROM dialer.attempts WHERE reason LIKE 'found at the provider%'"
TIMELINES = "SELECT count(*) FROM dialer.timelines"


class Way(StrEnum):
    """How our processes find the new primary."""

    HOSTS = "two hosts in DATABASE_URL"
    ADDRESS = "the address moves"
    SESSION = "PgBouncer in session mode"
    TRANSACTION = "PgBouncer in transaction mode"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=Way)
async def shared_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A cluster with two PostgreSQL servers."""
    pooler = {Way.SESSION: Mode.SESSION, Way.TRANSACTION: Mode.TRANSACTION}.get(request.param)
    pair = PostgresPair if request.param is Way.HOSTS else MovingPair
    async with Cluster(tmp_path_factory.mktemp("failover"), speed=SPEED, database=pair, pooler=pooler) as cluster:
        yield cluster


async def test_a_synchronous_standby_is_promoted(cluster: Cluster, request: pytest.FixtureRequest) -> None:
    pair = cluster.postgres
    assert isinstance(pair, PostgresPair)
    await until(pair.is_synchronous, BACK_SECONDS, "the standby is synchronous")
    await cluster.scale(2)
    runs = await dialing(cluster, 48)
    cancelled, run_id = runs.pop()
    response = await cancelled.cancel(run_id)
    # What was answered up to here must hold after it: `watch` compares each answer with the one before.
    await pair.fail_over()
    waits = await go_on(cluster, runs, BACK_SECONDS)
    figures = await completed(cluster, runs)
    assert (await cancelled.ended(run_id))["status"] == "cancelled"
    assert await cluster.value(FOUND) == 0, "no call was placed that the standby did not have"
    assert await cluster.value(TIMELINES) == 2
    keep(f"PostgreSQL fails over, {request.node.name}", first_lead_after=waits, response=response, **figures)
