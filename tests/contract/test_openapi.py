"""The description of the API is valid, complete, and what the API really does."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import validate

from dialer.model import AttemptState
from dialer.phones.phone_numbers import Refusal
from sql.prices.price_table import Prices
from telephony.simulator import Course
from tests.contract.described_api import DESCRIPTION, described, resolved
from tests.integration.test_simulator_hears_us import MINE, SimulatedSite, asked, us
from tests.web_site import RUNS, leads
from web.intake.rows import REASONS

if TYPE_CHECKING:
    from tests.web_site import Response, Site

__all__ = ["us"]

# Routes that are no part of the API: pages, and the description itself.
DO_NOT_CALL = "/api/outbound/do-not-call"
BESIDE = re.compile(
    r"/(api/docs.*|api/openapi\.yaml|static/.*|login|logout|language.*|runs.*|overview.*|dialling.*|do-not-call.*|settings.*|health(/.*)?|rejected|reset/.*|)$"
)


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


async def test_pages_of_do_not_call_are_as_described_forwards_and_backwards(site: Site) -> None:
    ask = partial(ask_of, site)
    await ask("POST", DO_NOT_CALL, body={"phones": [f"052123456{n}" for n in range(5)]})
    page = await ask("GET", DO_NOT_CALL, params={"limit": 2})
    pages = [page]
    for direction in ("next_cursor", "previous_cursor"):
        while cursor := page.json[direction]:
            page = await ask("GET", DO_NOT_CALL, params={"limit": 2, "cursor": cursor})
            pages.append(page)
    assert [len(page.json["items"]) for page in pages] == [2, 2, 1, 2, 2]
    assert pages[0].json == pages[-1].json


SCRIPT = {"say": "שלום {name}", "language": "he-IL", "keypress": {"9": "do_not_call"}}
RULES: dict[str, Any] = {
    "calling_hours": {"sunday": [["08:00", "21:00"]], "holidays": "closed", "holiday_eves": [], "dates": {"2028-02-29": []}},
    "retries": {"busy": {"times": 1, "after_minutes": [0.5]}},
    "min_gap_hours": 24,
    "max_per_day": 3,
    "allowed_countries": ["IL", "US"],
    "required_registers": [{"name": "israel", "max_age_days": 15}],
    "retention_days": 90,
    "script": SCRIPT,
    "inbound_script": {"dial": "+97231234567"},
    "provider_account": {"account_sid": "AC" + "7" * 32, "auth_token": "7" * 32},
}


async def test_what_is_answered_about_a_business_is_what_is_described(site: Site) -> None:
    path = "/api/business"
    ask = partial(ask_of, site)
    told = [await ask("GET", path, token=token) for token in ("viewer", "wrong", None)]
    assert [response.status for response in told] == [200, 401, 401]
    bodies: list[tuple[dict[str, Any], str, int]] = [
        (RULES, "admin", 200),
        (dict.fromkeys(RULES), "operator", 403),
        ({"max_calls": 4}, "admin", 422),
        ({"provider_account": {"account_sid": "x"}}, "admin", 422),
        ({"x": 1}, "admin", 422),
        ({name: None for name in RULES if name != "required_registers"}, "admin", 200),
    ]
    for body, token, status in bodies:
        assert (await ask("PATCH", path, body=body, token=token)).status == status
        assert (await ask("GET", path)).status == 200
    assert (await ask("PATCH", path, data=b"{", headers={"Content-Type": "application/json"}, token="admin")).status == 400
    assert (await ask("PATCH", path, data=b"x", headers={"Content-Type": "text/plain"}, token="admin")).status == 415


async def test_what_is_said_before_a_run_is_loaded_is_as_described(site: Site) -> None:
    ask = partial(ask_of, site)
    rows = [*leads(5), {"lead_id": 1, "phone": "0521234567"}, {"lead_id": 9, "phone": "100"}, 7, {"lead_id": 12, "phone": "+12125550123"}]
    await Prices(site.database.pool).replace({"972": Decimal("0.02")}, "USD", "test")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    answers: list[tuple[dict[str, Any], int]] = [
        ({"leads": rows, "budget": {"calls": 2}, "record": True, "script": SCRIPT}, 200),
        ({"leads": rows, "calling_hours": RULES["calling_hours"], "schedule_at": tomorrow, "script": SCRIPT}, 200),
        ({"leads": rows, "budget": {"amount": "0.01", "currency": "USD"}, "script": SCRIPT}, 200),
        ({"leads": rows, "x": 1}, 422),
        ({"leads": 7}, 422),
    ]
    for path in (f"{RUNS}/preflight", f"{RUNS}/preview"):
        for body, status in answers:
            response = await ask("POST", path, body=body, token="admin")
            assert response.status == status, response.body
        assert (await ask("POST", path, body={"leads": rows}, token="viewer")).status == 403
        assert (await ask("POST", path, data=b"{", headers={"Content-Type": "application/json"})).status == 400
        assert (await ask("POST", path, data=b"x", headers={"Content-Type": "text/plain"})).status == 415
    assert (await ask("POST", f"{RUNS}/preview", body={"leads": rows, "script": SCRIPT, "row": 8})).status == 422


async def test_what_is_answered_to_changes_of_a_run_is_what_is_described(site: Site) -> None:
    ask, run = partial(ask_of, site), f"{RUNS}/{{run_id}}"
    run_id = await site.load(3)
    changes: list[tuple[dict[str, Any], str, int]] = [
        ({"name": "y", "priority": 3, "concurrency": 2, "budget": {"calls": 9}, "calling_hours": None}, "admin", 200),
        ({"retries": RULES["retries"], "budget": None}, "operator", 200),
        ({"retries": None}, "operator", 200),
        ({"max_per_day": 100}, "viewer", 403),
        ({"priority": "x"}, "operator", 422),
        ({"x": 1}, "operator", 422),
    ]
    for body, token, status in changes:
        response = await ask("PATCH", run, run_id, body=body, token=token)
        assert response.status == status, response.body
    more = [*leads(2, first=10), {"lead_id": 1, "phone": "+972521234567"}, {"lead_id": 13, "phone": "100"}]
    for body, status in (({"leads": more}, 201), ({"leads": []}, 422), ({"leads": more, "name": "x"}, 422)):
        assert (await ask("POST", f"{run}/leads", run_id, body=body)).status == status
    attempts, _ = await site.database.claim(site.business)
    assert (await ask("POST", f"{run}/again", run_id, body={"outcomes": ["busy"]})).status == 422, "no lead has ended so"
    for attempt in attempts:
        await site.post_callback(attempt, "busy")
    for body, status in (({"outcomes": ["busy"], "start": True}, 201), ({"outcomes": []}, 422), ({"outcomes": ["busy"], "x": 1}, 422)):
        assert (await ask("POST", f"{run}/again", run_id, body=body)).status == status
    await site.post(f"/api/outbound_calls/jobs/{run_id}/cancel")
    assert (await ask("POST", f"{run}/leads", run_id, body={"leads": leads(1, first=20)})).status == 409
    for method, path, body in (("PATCH", run, {"name": "y"}), ("POST", f"{run}/leads", {"leads": more}), ("POST", f"{run}/again", {})):
        assert (await ask(method, path, 424242, body=body or {"outcomes": ["busy"]})).status == 404
        assert (await ask(method, path, run_id, body=body, token="viewer")).status == 403


async def test_what_is_answered_to_a_test_call_is_what_is_described(us: SimulatedSite) -> None:
    ask = partial(ask_of, us.site, "POST", f"{RUNS}/test-call")
    us.sim.set_number(MINE, [Course(talk_seconds=5_000.0)])
    answers = [
        await ask(body=asked(), token="viewer"),
        await ask(body=asked(phone="100")),
        await ask(body=asked(x=1)),
        await ask(body=asked()),
        await ask(body=asked()),
        await ask(data=b"{", headers={"Content-Type": "application/json"}),
    ]
    assert [answer.status for answer in answers] == [403, 422, 422, 202, 409, 400]


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
