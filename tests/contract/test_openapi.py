"""The description of the API is valid, complete, and what the API really does."""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import validate

from dialer.model import AttemptState
from tests.web_site import RUNS, leads
from web.intake.phone_numbers import Refusal
from web.intake.rows import REASONS

if TYPE_CHECKING:
    from tests.web_site import Response, Site

DESCRIPTION = Path(__file__).parents[2] / "web" / "api" / "openapi.yaml"
# Routes that are no part of the API: pages, and the description itself.
DO_NOT_CALL = "/api/outbound/do-not-call"
BESIDE = re.compile(r"/(api/docs.*|api/openapi\.yaml|static/.*|login|logout|language.*|runs.*|)$")


@cache
def described() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    return found


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        names = part["$ref"].removeprefix("#/").split("/")
        part = described()
        for name in names:
            part = part[name]
    return part


def holds(response: Response, method: str, path: str) -> None:
    """The status is described for this operation, and the body has the shape described for it."""
    answers = described()["paths"][path][method.lower()]["responses"]
    assert str(response.status) in answers, f"{method} {path} answered {response.status}: {response.body[:300]!r}"
    content = resolved(answers[str(response.status)]).get("content", {})
    kind = response.headers.get("Content-Type", "").split(";")[0]
    if not content:
        assert response.body == b""
        return
    assert kind in content, f"{method} {path} answered {kind}"
    if kind == "application/json":
        schema = {**content[kind]["schema"], "components": described()["components"]}
        OAS31Validator(schema, format_checker=oas31_format_checker).validate(response.json)


def test_it_is_valid() -> None:
    validate(described())


def test_it_names_every_reason_of_a_refused_row() -> None:
    assert set(described()["components"]["schemas"]["Rejected"]["properties"]["reason"]["enum"]) == set(REASONS) | set(Refusal)


def test_it_names_every_state_of_an_attempt() -> None:
    assert set(described()["components"]["schemas"]["Attempt"]["properties"]["state"]["enum"]) == set(AttemptState)


async def test_it_describes_every_route_and_no_other(site: Site) -> None:
    served = set()
    for route in site.client.server.app.router.routes():  # type: ignore[attr-defined]
        path = route.resource.canonical
        if route.method != "HEAD" and not BESIDE.match(path):
            served |= {(route.method.lower(), path.replace("{verb}", verb)) for verb in ("start", "pause", "resume")}
    assert served == {(method, path) for path, methods in described()["paths"].items() for method in methods}


async def ask_of(site: Site, method: str, path: str, *arguments: object, body: object = None, **more: Any) -> Response:  # noqa: ANN401 - whatever aiohttp's client takes
    filled = path
    for argument in arguments:
        filled = re.sub(r"\{\w+\}", str(argument), filled, count=1)
    response = await site.request(method, filled, **more, json=None if "data" in more else body)
    holds(response, method, path)
    return response


async def test_what_is_answered_is_what_is_described(site: Site) -> None:
    ask = partial(ask_of, site)
    run, jobs = f"{RUNS}/{{run_id}}", f"{RUNS}/{{run_id}}/jobs"
    job, cancel = f"{jobs}/{{job_id}}", "/api/outbound_calls/jobs/{job_id}/cancel"
    rows = [*leads(5), {"lead_id": 1, "phone": "0521234567"}, {"lead_id": 9, "phone": "100"}, 7]
    run_id = (await ask("POST", RUNS, body={"leads": rows, "name": "x"})).json["run_id"]
    bodies: list[dict[str, Any]] = [{}, {"leads": []}, {"leads": leads(1), "x": 1}, {"leads": [{"lead_id": 1}]}]
    for body in bodies:
        await ask("POST", RUNS, body=body)
    await ask("POST", RUNS, data=b"{", headers={"Content-Type": "application/json"})
    await ask("POST", RUNS, data=b"x", headers={"Content-Type": "text/plain"})
    await ask("POST", RUNS, body={"leads": leads(1)}, token="viewer")
    await ask("POST", RUNS, body={"leads": leads(1)}, token=None)
    await ask("GET", RUNS)
    await ask("GET", RUNS, token="wrong")
    for verb in ("start", "pause", "resume"):
        await ask("POST", f"{run}/{verb}", run_id)
        await ask("POST", f"{run}/{verb}", 424242)
    await ask("POST", f"{run}/start", run_id)
    attempts, _ = await site.database.claim(site.business)
    await site.post_callback(attempts[0], "ringing")
    await site.post_callback(attempts[0], "completed", CallDuration="3", AnsweredBy="machine_start")
    await site.database.record(attempts[1], AttemptState.UNKNOWN, reason="time-out")
    await ask("GET", run, run_id)
    await ask("GET", jobs, run_id)
    await ask("GET", f"{run}/export.csv", run_id)
    for attempt in attempts:
        await ask("GET", job, run_id, attempt.job_id)
    await ask("GET", job, run_id, 424242)
    await ask("POST", f"{job}/cancel", run_id, attempts[2].job_id)
    await ask("POST", f"{job}/cancel", run_id, attempts[2].job_id, body={"hang_up": True})
    await ask("POST", f"{job}/resolve", run_id, attempts[1].job_id, body={"as": "over"})
    await ask("POST", f"{job}/resolve", run_id, attempts[1].job_id, body={"as": "over"})
    await ask("POST", cancel, run_id, body={"hang_up": True})
    await ask("POST", cancel, 424242)
    await ask("POST", cancel, run_id, body={"hang_up": 1})
    await ask("POST", "/api/outbound/stop-queue", body={"run_id": run_id})
    await ask("POST", "/api/outbound/stop-queue", body={"run_id": "x"})
    await site.post_callback(attempts[2], "completed")
    await ask("POST", "/api/outbound/stop-queue", body={"run_id": run_id, "wait": True})
    await ask("GET", f"{run}/events", run_id)
    await ask("POST", "/callbacks/{reference}", "nonsense", data={"CallStatus": "ringing"}, token=None)
    for path in ("/healthz", "/readyz", "/metrics"):
        await ask("GET", path, token=None)


async def test_reports_and_operations_are_as_described(site: Site) -> None:
    ask = partial(ask_of, site)
    run, jobs = f"{RUNS}/{{run_id}}", f"{RUNS}/{{run_id}}/jobs"
    run_id = await site.load(3)
    job_id = (await ask("GET", jobs, run_id)).json["items"][2]["job_id"]
    listed: list[dict[str, Any]] = [
        {},
        {"status": "lost"},
        {"status": "queued,failed", "outcome": "busy", "search": "Lead", "job_ids": [1]},
    ]
    for verb in ("cancel", "again", "do-not-call"):
        noted = [await ask("POST", f"{jobs}/{verb}", run_id, body=body) for body in listed]
        await ask("GET", "/api/operations/{operation_id}", noted[-1].json["operation_id"])
        await ask("POST", f"{jobs}/{verb}", 424242)
    await ask("GET", "/api/operations/{operation_id}", 424242)
    for path in ("/api/stop-dialling", "/api/resume-dialling"):
        await ask("POST", path, body={"reason": "A wrong script"})
        await ask("POST", path, body={"reason": 7})
        await ask("GET", "/api/outbound/summary")
        await ask("GET", run, run_id)
        await ask("GET", f"{jobs}/{{job_id}}", run_id, job_id)


async def test_what_is_answered_about_do_not_call_is_what_is_described(site: Site) -> None:
    async def ask(method: str, query: str = "", path: str = DO_NOT_CALL, **more: Any) -> Response:  # noqa: ANN401 - whatever aiohttp's client takes
        response = await site.request(method, path + query, **more)
        holds(response, method, path)
        return response

    await ask("POST", json={"phones": ["0521234567", "100", 7], "reason": "x"})
    await ask("POST", "?register=IL", token="admin", data=b"0521234568\n", headers={"Content-Type": "text/csv"})
    await ask("POST", "?register=IL", json={"phones": ["x"]})
    await ask("POST", data=b"x", headers={"Content-Type": "text/plain"})
    for body in ({}, {"phones": ["0521234567"], "x": 1}):
        await ask("POST", json=body)
    await ask("GET", "?limit=1")
    await ask("GET", "?cursor=x")
    await ask("GET", path=f"{DO_NOT_CALL}.csv")
    await ask("GET", "?register=US", path=f"{DO_NOT_CALL}.csv")
    for phone in ("0521234567", "0521234568", "x"):
        await ask("DELETE", json={"phones": [phone]})
    await ask("DELETE", json={"phones": ["0521234567"]}, token="viewer")
    await ask("GET", token=None)


async def test_events_have_the_shape_described(site: Site) -> None:
    run_id = await site.load(2)
    shape = {"$ref": "#/components/schemas/Event", "components": described()["components"]}
    async with site.listen(run_id) as listening:
        received = await listening.until("reset")
        attempts, _ = await site.database.claim(site.business)
        for attempt in attempts:
            await site.post_callback(attempt, "completed")
        received += await listening.until("end")
    async with site.listen(None) as listening:
        run_id = await site.load(2)
        received += await listening.until("run.started")
        await site.database.claim(site.business)
    async with site.listen(None) as listening:
        received += await listening.until("reset")
    assert received[-1].data["calls"][0]["run_id"] == run_id
    for event in received:
        OAS31Validator(shape).validate(event.data)


@pytest.mark.parametrize("name", sorted(described()["components"]["schemas"]))
def test_every_schema_is_used(name: str) -> None:
    assert f'"#/components/schemas/{name}"' in DESCRIPTION.read_text(encoding="utf-8") or name == "Event"
