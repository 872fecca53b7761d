"""One trace of a run, from the request that starts it to the last callback, through two workers; and a collector that does not answer."""

from __future__ import annotations

from signal import SIGTERM
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.chaos.cluster import Cluster
from tests.chaos.external_client import command, connected
from tests.chaos.polling import until
from tests.collector import Collector, collecting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.tenant import Tenant
    from tests.collector import StoredSpan

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SECONDS = 60.0
SPEED = 40.0
# By the simulator's clock: this call goes on while another worker takes over.
TALK_SECONDS = 400
CRM = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{CRM[0]}-{CRM[1]}-01"
START = "POST /api/outbound/runs/{run_id}/{verb}"
CALLBACK = "POST /callbacks/{reference}"
RECORDING = "POST /callbacks/{reference}/recording"
TWIML = "POST /twiml/{reference}"
LONG_CALL = "SELECT count(*) = 1 FROM dialer.attempts WHERE business_id = $1 AND phone = $2 AND state = 'live'"
ALLOWED = {
    *("business_id", "run_id", "job_id", "attempt_id", "sid", "state", "verdict", "outcome", "call_status", "leads"),
    *("http.request.method", "http.route", "http.response.status_code", "url.template"),
    *("messaging.system", "messaging.destination.name"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cluster(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> AsyncIterator[Cluster]:
    """The cluster of this file, whose processes know the collector."""
    async with Cluster(
        tmp_path_factory.mktemp("traces"),
        speed=SPEED,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="100",
        OTEL_SERVICE_NAME="dialling",
        DIALER_RING_TIMEOUT_SECONDS="60",
    ) as cluster:
        yield cluster


class Tree:
    """The spans of one trace by their parents."""

    def __init__(self, spans: list[StoredSpan]) -> None:
        self.spans = spans

    def one(self, name: str, **wanted: object) -> StoredSpan:
        [span] = self.all(name, **wanted)
        return span

    def all(self, name: str, **wanted: object) -> list[StoredSpan]:
        return [span for span in self.spans if span.name == name and wanted.items() <= span.attributes.items()]

    def below(self, parent: StoredSpan) -> list[str]:
        return [span.name for span in self.spans if span.parent == parent.span]


async def tree(collector: Collector, business_id: int, calls: int) -> Tree:
    """The spans of a business, once those of all its calls are there, each with a last callback."""

    async def arrived() -> list[StoredSpan]:
        spans = [one for one in collector.of_business(business_id) if one.trace != CRM[0]]
        ends = (
            [one for one in spans if one.name == "call"],
            [one for one in spans if one.name == CALLBACK and one.attributes["state"] == "over"],
        )
        return spans if all(len(found) >= calls for found in ends) else []

    return Tree(sorted(await until(arrived, SECONDS, "the spans have arrived"), key=lambda one: one.began))


async def start(tenant: Tenant, run_id: int, **headers: str) -> None:
    """Press Start, as a page or a program does."""
    url = f"{tenant.url}/api/outbound/runs/{run_id}/start"
    async with tenant.http.post(url, json={}, headers={"Authorization": f"Bearer {tenant.token}", **headers}) as response:
        assert response.status == 200, await response.text()


async def with_a_long_call(cluster: Cluster, tenant: Tenant) -> tuple[int, list[dict[str, Any]]]:
    """A run of two leads that is not started: the first talks for long."""
    leads = cluster.leads(2)
    courses = {leads[0]["phone"]: {"scenario": "answer", "talk_seconds": TALK_SECONDS}, leads[1]["phone"]: {"scenario": "answer"}}
    async with cluster.http.post(f"{cluster.simulator.url}/simulator/numbers", json=courses) as response:
        assert response.status == 200, await response.text()
    return await tenant.run(leads, start=False), leads


async def test_one_trace_from_the_button_to_the_last_callback_through_two_workers(cluster: Cluster, collector: Collector) -> None:
    tenant = await cluster.tenant()
    run_id, leads = await with_a_long_call(cluster, tenant)
    await start(tenant, run_id)
    [first] = cluster.workers

    async def talking() -> bool:
        return bool(await cluster.value(LONG_CALL, tenant.business_id, leads[0]["phone"]))

    async def sent() -> bool:
        return len(Tree(collector.of_business(tenant.business_id)).all("POST Calls.json")) == len(leads)

    await until(talking, SECONDS, "the long call is live")
    # A stop waits for the collector for some seconds only, and this machine may be slow.
    await until(sent, SECONDS, "the collector has the spans of the first worker")
    second = await cluster.start_worker()
    await cluster.end(first, SIGTERM)
    await tenant.ended(run_id)
    found = await tree(collector, tenant.business_id, 2)

    # One trace, and everything is below the request that started it.
    assert len({span.trace for span in found.spans}) == 1
    pressed = found.one(START)
    assert (pressed.parent, pressed.process.split()[0], pressed.service) == ("", "web", "dialling")
    command_span = found.one("run.start")
    assert command_span.parent == pressed.span
    known = {span.span for span in found.spans}
    assert [span.name for span in found.spans if span.parent not in known | {""}] == []
    assert sorted(found.below(command_span)) == ["call", "call", "worker: run.start"]
    assert found.one("worker: run.start").process == f"worker {first}"

    # Each call, with every request to the provider and from it.
    for (attempt,) in await cluster.rows("SELECT id FROM dialer.attempts WHERE business_id = $1", tenant.business_id):
        call = found.one("call", attempt_id=attempt)
        below = found.below(call)
        [posted] = found.all("POST Calls.json", attempt_id=attempt)
        assert posted.parent == call.span
        assert posted.process == f"worker {first}"
        assert below.count("claim") == below.count(TWIML) == 1
        callbacks = found.all(CALLBACK, attempt_id=attempt)
        assert {one.attributes["call_status"] for one in callbacks} == {"initiated", "ringing", "in-progress", "completed"}
        assert {one.parent for one in [*callbacks, *found.all(TWIML, attempt_id=attempt)]} == {call.span}
        # By the last callback, or by a worker that has asked a moment before.
        over = found.one("record over", attempt_id=attempt)
        assert over.parent in {call.span, found.one(CALLBACK, attempt_id=attempt, call_status="completed").span}
        assert {one.attributes["sid"] for one in (posted, *callbacks)} == {posted.attributes["sid"]}
    # The long call was followed by one worker, and to its end by the other.
    attempt = await cluster.value("SELECT id FROM dialer.attempts WHERE phone = $1", leads[0]["phone"])
    for name in ("take over", "call"):
        assert found.one(name, attempt_id=attempt).process == f"worker {second}"

    # Nothing that identifies a person, and no secret.
    assert {name for span in found.spans for name in span.attributes} <= ALLOWED
    nonces = [row[0].hex for row in await cluster.rows("SELECT nonce FROM dialer.attempts")]
    secrets = [*nonces, tenant.token, tenant.caller_id, *(lead[name] for lead in leads for name in ("phone", "name"))]
    assert [one for one in secrets if any(one.removeprefix("+").encode() in body for body in collector.bodies)] == []


async def test_another_business_has_another_trace_and_the_trace_of_a_caller_goes_on(cluster: Cluster, collector: Collector) -> None:
    tenant, other = await cluster.tenant(), await cluster.tenant()
    leads = cluster.leads(1)
    await cluster.numbers({leads[0]["phone"]: "answer"})
    # One loads a run with a `traceparent` that starts at once, the other sends a command to the stream.
    headers = {"Authorization": f"Bearer {tenant.token}", "traceparent": TRACEPARENT}
    async with tenant.http.post(
        f"{tenant.url}/api/outbound/runs", json={"leads": leads, "start": True, "record": True}, headers=headers
    ) as response:
        run_id = (await response.json())["run_id"]
    streamed = await other.run(cluster.leads(1), start=False)
    async with connected(cluster.valkey.url) as client:
        await client.send({**command(other, streamed, "run.start"), "traceparent": TRACEPARENT})
    await tenant.ended(run_id)
    await other.ended(streamed)
    trees = [await tree(collector, one.business_id, 1) for one in (tenant, other)]
    traces = [{span.trace for span in one.spans} for one in trees]
    assert [len(one) for one in traces] == [1, 1]
    assert traces[0] != traces[1]
    for one, business in zip(trees, (tenant, other), strict=True):
        assert {span.attributes["business_id"] for span in one.spans} == {business.business_id}
        assert one.one("run.start").parent == ""

    # In the caller's trace, below its span, is what it sent, with a link to the run; and the run links back to the request.
    [request] = [span for span in collector.of(CRM[0]) if span.name == "POST /api/outbound/runs"]
    [received] = [span for span in collector.of(CRM[0]) if span.name == "receive run.start"]

    async def reported() -> bool:
        return bool(Tree(collector.of_business(tenant.business_id)).all(RECORDING))

    await until(reported, SECONDS, "the report of the recording is in the trace")
    [report] = Tree(collector.of_business(tenant.business_id)).all(RECORDING)
    assert report.parent == trees[0].one("call").span
    roots = [one.one("run.start") for one in trees]
    assert [span.parent for span in (request, received)] == [CRM[1]] * 2
    assert [span.links for span in (request, received)] == [[(root.trace, root.span)] for root in roots]
    assert roots[0].links == [(CRM[0], request.span)]


async def test_a_collector_that_hangs_or_is_away_changes_nothing(cluster: Cluster, collector: Collector) -> None:
    tenant = await cluster.tenant()
    [other] = cluster.workers
    await cluster.end(other, SIGTERM)
    cluster.environment["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1"
    worker = await cluster.start_worker()
    collector.hang()
    try:
        run_id = await tenant.run(cluster.leads(3))
        assert (await tenant.ended(run_id))["status"] == "completed"

        async def said() -> bool:
            return "takes no spans" in cluster.log(worker)

        await until(said, SECONDS, "the worker says that the collector does not answer")
        # This fails when the worker takes longer than any stop may.
        await cluster.end(worker, SIGTERM)
        assert "Traceback" not in cluster.log(worker)
    finally:
        collector.resume()
        del cluster.environment["OTEL_EXPORTER_OTLP_TIMEOUT"]
