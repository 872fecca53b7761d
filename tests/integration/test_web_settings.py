"""The rules that a run is given over HTTP: taken, shown with those of its business, changed, and held against them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from tests.web_site import Response, Site

CSV = {"Content-Type": "text/csv"}
FILE = "lead_id,phone\n1,050-1234567\n"
HOURS = {"monday": [["09:00", "13:00"], ["15:00", "20:00"]], "holidays": "closed", "dates": {"2026-12-25": []}}
RULES: dict[str, Any] = {
    "calling_hours": HOURS,
    "retries": {"no-answer": {"times": 2, "after_minutes": [30, 0.5]}},
    "priority": 7,
    "min_gap_hours": 12.5,
    "max_per_day": 2,
    "recently_called": "skip",
    "budget": {"calls": 10},
}
BUSINESS = "/api/business"


def at(**later: float) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


def fields(response: Response) -> set[str]:
    return {detail["field"] for detail in response.json["details"]}


async def actions(site: Site) -> list[tuple[str, dict[str, Any]]]:
    rows = await site.database.pool.fetch("SELECT action, detail FROM dialer.audit_log WHERE business_id = $1 ORDER BY id", site.business)
    return [(row["action"], row["detail"]) for row in rows]


async def strict(site: Site) -> None:
    """Give the business rules of its own."""
    rules = {"calling_hours": {"monday": [["08:00", "21:00"]]}, "min_gap_hours": 24, "max_per_day": 3}
    assert (await site.request("PATCH", BUSINESS, json=rules, token="admin")).status == 200


async def test_a_run_keeps_the_rules_it_was_given(site: Site) -> None:
    later = at(days=3)
    said = await site.post(RUNS, {"leads": leads(1), **RULES, "schedule_at": later})
    assert said.status == 201, said.body
    run = (await site.get(f"{RUNS}/{said.json['run_id']}")).json
    assert {**run["settings"], "schedule_at": None} == {**RULES, "schedule_at": None}
    assert datetime.fromisoformat(run["settings"]["schedule_at"]) == datetime.fromisoformat(later)
    unset = {
        "script": None,
        "machine_detection": None,
        "machine_detection_async": False,
        "on_machine": "hang_up",
        "machine_message": None,
        "record": False,
    }
    assert run["effective_settings"] == {"caller_ids": ["+972501110000"], "caller_id_choice": "first", **RULES, **unset}
    assert (run["status"], run["priority"]) == ("pending", 7)
    assert datetime.fromisoformat(run["schedule_at"]) == datetime.fromisoformat(later)


async def test_what_a_run_was_not_given_is_its_business_s(site: Site) -> None:
    run_id = await site.load(1, start=False, min_gap_hours=None, calling_hours=None, record=False)
    before = (await site.get(f"{RUNS}/{run_id}")).json
    assert before["settings"] == {"min_gap_hours": None, "calling_hours": None}
    assert before["effective_settings"]["max_per_day"] is None
    await strict(site)
    for run in ((await site.get(f"{RUNS}/{run_id}")).json, (await site.get(RUNS)).json["items"][0]):
        assert run["settings"] == {"min_gap_hours": None, "calling_hours": None}
        effective = run["effective_settings"]
        assert (effective["min_gap_hours"], effective["calling_hours"], effective["max_per_day"]) == (None, None, 3)
        assert effective["recently_called"] == "wait"


async def test_a_csv_has_its_rules_as_json_in_the_query(site: Site) -> None:
    query = {name: value if isinstance(value, str) else json.dumps(value) for name, value in RULES.items()}
    said = await site.request("POST", RUNS, params={**query, "max_per_day": "null"}, data=FILE, headers=CSV)
    assert said.status == 201, said.body
    run = (await site.get(f"{RUNS}/{said.json['run_id']}")).json
    assert run["settings"] == {**RULES, "max_per_day": None}
    said = await site.request("POST", RUNS, params={"calling_hours": "{"}, data=FILE, headers=CSV)
    assert (said.status, fields(said)) == (422, {"calling_hours"})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"schedule_at": at(seconds=-1)}, "schedule_at"),
    ({"schedule_at": at(days=61)}, "schedule_at"),
    ({"schedule_at": at(days=1), "start": True}, "schedule_at"),
    ({"schedule_at": "2026-12-01T09:00:00"}, "schedule_at"),
    ({"schedule_at": "tomorrow"}, "schedule_at"),
    ({"schedule_at": 1_800_000_000}, "schedule_at"),
    ({"calling_hours": {"monday": [["09:00", "08:00"]]}}, "calling_hours.monday.0"),
    ({"calling_hours": {"monday": [["9:00", "18:00"]]}}, "calling_hours.monday.0"),
    ({"calling_hours": {"montag": []}}, "calling_hours.montag"),
    ({"calling_hours": "always"}, "calling_hours"),
    ({"calling_hours": {"dates": {"2026-02-30": []}}}, "calling_hours.dates"),
    ({"retries": {"lost": {"times": 1, "after_minutes": [1]}}}, "retries.lost"),
    ({"retries": {"busy": {"times": 1, "after_minutes": []}}}, "retries.busy.after_minutes"),
    ({"priority": 101}, "priority"),
    ({"min_gap_hours": -1}, "min_gap_hours"),
    ({"min_gap_hours": "24"}, "min_gap_hours"),
    ({"max_per_day": -1}, "max_per_day"),
    ({"recently_called": "never"}, "recently_called"),
    ({"budget": {}}, "budget"),
    ({"budget": {"amount": "12.50"}}, "budget"),
    ({"budget": {"amount": "12.50", "currency": "USD"}}, "budget.amount"),
    ({"budget": {"amount": 12.5, "currency": "USD"}}, "budget.amount"),
]


async def test_a_wrong_rule_is_named(site: Site) -> None:
    for given, field in WRONG:
        for language in ("en", "he"):
            said = await site.post(RUNS, {"leads": leads(1), **given}, headers={"Accept-Language": language})
            assert (said.status, fields(said)) == (422, {field})
            assert all(said.json["details"][0]["message"].isascii() == (language == "en") for _ in said.json["details"])
    assert await site.database.pool.fetchval("SELECT count(*) FROM public.outbound_call_runs WHERE business_id = $1", site.business) == 0


async def test_only_an_admin_loosens_the_rules_of_the_business(site: Site) -> None:
    await strict(site)
    looser: list[dict[str, Any]] = [
        {"calling_hours": None},
        {"calling_hours": {"monday": [["07:59", "12:00"]]}},
        {"min_gap_hours": 23.9},
        {"min_gap_hours": None},
        {"max_per_day": 4},
        {"max_per_day": None},
    ]
    for rule in looser:
        said = await site.post(RUNS, {"leads": leads(1), **rule})
        assert (said.status, said.code) == (403, "forbidden")
        assert next(iter(rule)) in said.json["error"]
    tighter = {"calling_hours": {"monday": [["08:00", "12:00"]]}, "min_gap_hours": 24, "max_per_day": 3}
    assert (await site.post(RUNS, {"leads": leads(1), **tighter})).status == 201
    said = await site.post(RUNS, {"leads": leads(1), "min_gap_hours": 0, "max_per_day": None}, token="admin")
    assert said.status == 201
    action, detail = (await actions(site))[-1]
    assert (action, detail["loosens"]) == ("run.create", ["min_gap_hours", "max_per_day"])


async def test_a_run_is_changed(site: Site) -> None:
    run_id = await site.load(2, start=False, priority=1)
    path = f"{RUNS}/{run_id}"
    given = {"name": "new", "concurrency": 1, "priority": -5, "calling_hours": HOURS, "retries": None, "budget": {"calls": 3}}
    said = await site.request("PATCH", path, json={**given, "schedule_at": at(hours=1)})
    assert said.status == 200, said.body
    run = (await site.get(path)).json
    assert {name: run[name] for name in ("name", "concurrency", "priority")} == {"name": "new", "concurrency": 1, "priority": -5}
    assert run["settings"].pop("schedule_at")
    assert run["settings"] == {"calling_hours": HOURS, "retries": None, "budget": {"calls": 3}, "priority": -5}
    assert run["schedule_at"] is not None
    said = await site.request("PATCH", path, json={"schedule_at": None, "name": None})
    assert (said.json["schedule_at"], said.json["name"], said.json["priority"]) == (None, None, -5)
    assert [action for action, _ in await actions(site)][-2:] == ["run.change", "run.change"]
    assert (await site.request("PATCH", path, json={})).json == said.json


async def test_new_hours_close_every_zone_until_they_are_computed(site: Site) -> None:
    run_id = await site.load(2)
    query = "SELECT opens_at FROM dialer.run_zones WHERE business_id = $1 AND run_id = $2"
    await site.database.pool.execute(
        "UPDATE dialer.run_zones SET opens_at = now() WHERE business_id = $1 AND run_id = $2", site.business, run_id
    )
    assert (await site.request("PATCH", f"{RUNS}/{run_id}", json={"name": "x"})).status == 200
    assert await site.database.pool.fetchval(query, site.business, run_id) is not None
    assert (await site.request("PATCH", f"{RUNS}/{run_id}", json={"calling_hours": HOURS})).status == 200
    assert await site.database.pool.fetchval(query, site.business, run_id) is None
    await site.database.pool.execute(
        "UPDATE dialer.run_zones SET opens_at = now() WHERE business_id = $1 AND run_id = $2", site.business, run_id
    )
    await strict(site)
    assert await site.database.pool.fetchval(query, site.business, run_id) is None


async def test_a_run_that_has_ended_is_only_archived(site: Site) -> None:
    run_id = await site.load(1, start=False)
    assert (await site.post("/api/outbound/stop-queue", {"run_id": run_id})).status == 200
    said = await site.request("PATCH", f"{RUNS}/{run_id}", json={"archived": True, "name": "x"})
    assert (said.status, said.code) == (409, "invalid_state")
    said = await site.request("PATCH", f"{RUNS}/{run_id}", json={"archived": True})
    assert (said.status, said.json["archived"]) == (200, True)
    assert (await site.request("PATCH", f"{RUNS}/{run_id}", json={"archived": False})).json["archived"] is False


async def test_a_run_that_was_started_cannot_be_scheduled(site: Site) -> None:
    run_id = await site.load(1)
    said = await site.request("PATCH", f"{RUNS}/{run_id}", json={"schedule_at": at(hours=1)})
    assert (said.status, said.code) == (409, "invalid_state")


WRONG_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"min_gap_hours": 1}, "min_gap_hours"),
    ({"start": True}, "start"),
    ({"concurrency": 4}, "concurrency"),
    ({"concurrency": None}, "concurrency"),
    ({"priority": None}, "priority"),
    ({"archived": "yes"}, "archived"),
    ({"name": "a\x00b"}, "name"),
    ({"schedule_at": at(days=61)}, "schedule_at"),
    ({"budget": {"amount": "1", "currency": "ILS"}}, "budget.amount"),
]


async def test_a_wrong_change_is_named(site: Site) -> None:
    run_id = await site.load(1, start=False)
    for given, field in WRONG_CHANGES:
        said = await site.request("PATCH", f"{RUNS}/{run_id}", json=given)
        assert (said.status, fields(said)) == (422, {field})
        assert (said.json["details"][0]["message"] == "cannot be changed after loading") == (field == "min_gap_hours"), field
    assert "run.change" not in dict(await actions(site))


async def test_a_change_loosens_only_for_an_admin(site: Site) -> None:
    run_id = await site.load(1, start=False)
    await strict(site)
    assert (await site.request("PATCH", f"{RUNS}/{run_id}", json={"calling_hours": None})).status == 403
    assert (await site.request("PATCH", f"{RUNS}/{run_id}", json={"name": "x"}, token="viewer")).status == 403
    assert (await site.request("PATCH", f"{RUNS}/{run_id}", json={"calling_hours": None}, token="admin")).status == 200
    action, detail = (await actions(site))[-1]
    assert (action, detail["loosens"]) == ("run.change", ["calling_hours"])


async def test_another_business_s_run_is_answered_like_a_missing_one(site: Site) -> None:
    rivals = await site.rivals_run()
    for method, path, body in (
        ("PATCH", "", {"name": "x"}),
        ("POST", "/leads", {"leads": leads(1)}),
        ("POST", "/again", {"outcomes": ["busy"]}),
    ):
        foreign = await site.request(method, f"{RUNS}/{rivals}{path}", json=body)
        missing = await site.request(method, f"{RUNS}/424242{path}", json=body)
        assert (foreign.status, foreign.body) == (404, missing.body)
