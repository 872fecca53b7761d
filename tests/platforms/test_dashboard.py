"""The dashboard of ops/grafana: every expression of every panel is asked of a real Prometheus that reads real processes, and has data."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import pytest_asyncio

from tests.chaos.limits import set_rules
from tests.chaos.polling import until
from tests.platforms.causes import answers_lost, claims_fail, function_missing
from tests.platforms.watched_cluster import WatchedCluster
from tests.prometheus import OPS, RANGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SEEN_SECONDS = 120.0
# What is seen only in trouble, and what causes it.
TROUBLE: Final = {
    answers_lost: "Unknown and reconciled",
    claims_fail: "Businesses without a new call",
    function_missing: "Failed duties in 5 minutes",
}


class Question(NamedTuple):
    """What a panel asks for one of its series, and how that is called."""

    panel: str
    expression: str
    legend: str


QUESTIONS: Final = [
    Question(panel["title"], target["expr"].replace("$__rate_interval", RANGE), target["legendFormat"])
    for panel in json.loads((OPS / "grafana" / "ringmaster.json").read_text())["panels"]
    for target in panel.get("targets", ())
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WatchedCluster]:
    """The cluster of this file."""
    async with WatchedCluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


async def use_everything(cluster: WatchedCluster) -> None:
    """Calls that end, leads that a rule keeps back, a cancel over HTTP, and a sign-in with a wrong password."""
    tenant = await cluster.tenant()
    await set_rules(cluster, tenant, min_gap_hours=1.0)
    leads = cluster.leads(40)
    for _ in range(2):
        await tenant.run(leads)
    await tenant.cancel(await tenant.run(cluster.leads(3), start=False))
    form: dict[str, Any] = {"email": "nobody@example.com", "password": "a wrong one"}
    async with cluster.http.post(f"{cluster.url}/login", data=form) as response:
        assert response.status in {400, 401}, await response.text()


async def shown(cluster: WatchedCluster, questions: Iterable[Question]) -> None:
    """Wait until each of them has had an answer, whose labels are those of its legend."""
    open_ones = set(questions)

    async def all_answered() -> bool:
        for question in list(open_ones):
            found = await cluster.prometheus.ask(question.expression)
            labels = set(re.findall(r"{{(\w+)}}", question.legend))
            assert all(labels <= set(series["metric"]) for series in found), question
            if found:
                open_ones.remove(question)
        return not open_ones

    await until(all_answered, SEEN_SECONDS, lambda: f"no data for {open_ones}")


async def test_every_panel_has_data_while_calls_are_made(cluster: WatchedCluster) -> None:
    await cluster.watch_all()
    await use_everything(cluster)
    await shown(cluster, [question for question in QUESTIONS if question.panel not in TROUBLE.values()])
    for cause, panel in TROUBLE.items():
        asked = [question for question in QUESTIONS if question.panel == panel]
        assert asked, panel
        async with cause(cluster):
            await shown(cluster, asked)
