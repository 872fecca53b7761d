"""Every alert fires while what it is about is so, and stops when that is mended: real processes, read by a real Prometheus with our rules.

The rules wait less long than on an installation; `hastened` in tests/prometheus.py says how they are changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.chaos.polling import until
from tests.platforms.causes import CAUSES
from tests.platforms.watched_cluster import WatchedCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

FIRE_SECONDS = 120.0
STOP_SECONDS = 180.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WatchedCluster]:
    """The cluster of this file."""
    async with WatchedCluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
async def test_an_alert_fires_and_stops(
    cluster: WatchedCluster, cause: Callable[[WatchedCluster], AbstractAsyncContextManager[None]]
) -> None:
    expected = CAUSES[cause]
    await cluster.watch_all()
    seen: set[str] = set()

    async def quiet() -> bool:
        return not (expected & await cluster.prometheus.firing())

    async def all_fire() -> bool:
        seen.update(await cluster.prometheus.firing())
        return expected <= seen

    await until(quiet, STOP_SECONDS, "nothing of it fires before")
    async with cause(cluster):
        await until(all_fire, FIRE_SECONDS, lambda: f"{expected - seen} fire; seen {seen}")
    await cluster.watch_all()
    await until(quiet, STOP_SECONDS, "they stop")
