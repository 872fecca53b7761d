"""More leads for a run, and leads that are called again as a run of their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from tests.web_site import Response, Site

CSV = {"Content-Type": "text/csv"}


async def jobs(site: Site, run_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await site.get(f"{RUNS}/{run_id}/jobs")).json["items"]
    return found


async def zones(site: Site, run_id: int) -> list[tuple[str, int, int, int]]:
    rows = await site.database.pool.fetch(
        "SELECT zone, first_position, last_position, next_position FROM dialer.run_zones WHERE business_id = $1 AND run_id = $2 "
        "ORDER BY first_position",
        site.business,
        run_id,
    )
    return [tuple(row) for row in rows]


async def add(site: Site, run_id: int, body: object, **more: Any) -> Response:  # noqa: ANN401 - whatever aiohttp's client takes
    return await site.post(f"{RUNS}/{run_id}/leads", body, **more)


async def test_leads_are_added_behind_the_others(site: Site) -> None:
    run_id = await site.load(2)
    rows: list[Any] = [
        {"lead_id": 3, "phone": "+972500000003", "name": "New"},
        {"lead_id": 1, "phone": "+972500000009"},
        {"lead_id": "x", "phone": "+972500000002"},
        {"lead_id": 4, "phone": "100"},
        {"lead_id": "y", "phone": "+12025550123", "timezone": "America/New_York"},
        {"lead_id": 3, "phone": "+972500000010"},
    ]
    said = await add(site, run_id, {"leads": rows})
    assert said.status == 201, said.body
    answer = said.json
    assert (answer["run_id"], answer["status"], answer["accepted"], answer["total_leads"]) == (run_id, "running", 2, 4)
    assert [(row["row"], row["reason"]) for row in answer["rejected"]] == [(4, "emergency")]
    assert [(row["row"], row["lead_id"], row["same_as"], row["by"]) for row in answer["duplicates"]] == [
        (2, 1, 1, "lead"),
        (3, "x", 2, "phone"),
        (6, 3, 3, "lead"),
    ]
    run = await site.database.checked_run(site.business, run_id)
    assert (run.total_leads, run.queued) == (4, 4)
    assert [job["lead_id"] for job in await jobs(site, run_id)] == [1, 2, 3, "y"]
    assert await zones(site, run_id) == [
        ("IL:Asia/Jerusalem", 1, 3, 1),
        ("US:America/New_York", 4, 4, 4),
    ]
    taken = [attempt.phone for _ in range(2) for attempt in (await site.database.claim(site.business))[0]]
    assert len(taken) == 3
    again = await add(site, run_id, {"leads": [{"lead_id": "y", "phone": "+12025550199"}]})
    assert (again.status, again.code) == (422, "no_leads")
    assert again.json["details"][0]["same_as"] == "y"
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.audit_log WHERE action = 'run.add'") == 1


async def test_a_file_is_added_and_settings_are_not(site: Site) -> None:
    run_id = await site.load(1, start=False)
    said = await site.request("POST", f"{RUNS}/{run_id}/leads", data="lead_id,phone\n7,0501234567\n", headers=CSV)
    assert (said.status, said.json["status"], said.json["total_leads"]) == (201, "pending", 2)
    for request in (
        site.request("POST", f"{RUNS}/{run_id}/leads?priority=3", data="lead_id,phone\n8,0501234568\n", headers=CSV),
        add(site, run_id, {"leads": leads(3), "priority": 3}),
    ):
        said = await request
        assert (said.status, said.json["details"][0]["field"]) == (422, "priority")


async def test_a_repeated_addition_takes_effect_once(site: Site) -> None:
    run_id = await site.load(1)
    key = {"Idempotency-Key": "k"}
    first, second = await asyncio.gather(*(add(site, run_id, {"leads": leads(3)}, headers=key) for _ in range(2)))
    assert (first.status, second.status, first.body) == (201, 201, second.body)
    assert (await site.database.checked_run(site.business, run_id)).total_leads == 3
    other = await add(site, run_id, {"leads": leads(4)}, headers=key)
    assert (other.status, other.code) == (409, "idempotency_conflict")


async def test_additions_at_once_lose_and_repeat_nothing(site: Site) -> None:
    run_id = await site.load(1)
    said = await asyncio.gather(*(add(site, run_id, {"leads": leads(6, first)}) for first in (1, 5, 9)))
    assert [answer.status for answer in said] == [201] * 3
    run = await site.database.checked_run(site.business, run_id)
    assert run.total_leads == 14
    assert sorted(job["lead_id"] for job in await jobs(site, run_id)) == list(range(1, 15))
    assert sum(answer.json["accepted"] for answer in said) == 13


WINDOW = """UPDATE dialer.run_zones SET opens_at = now() - interval '1 hour', closes_at = now() + interval '1 hour', day_from = now(),
day_to = now() WHERE business_id = $1 AND run_id = $2"""
WINDOWS = """SELECT zone, count(*), count(DISTINCT (opens_at, closes_at, day_from, day_to)), bool_or(opens_at IS NULL)
FROM dialer.run_zones WHERE business_id = $1 AND run_id = $2 GROUP BY zone ORDER BY zone"""


def american(lead_id: int) -> dict[str, Any]:
    return {"lead_id": lead_id, "phone": f"+1202555{lead_id:04}", "timezone": "America/New_York"}


async def test_a_run_stays_open_and_its_zones_few_however_often_leads_are_added(site: Site) -> None:
    run_id = await site.load(1, calling_hours={"monday": [["09:00", "10:00"]]})
    await site.database.pool.execute(WINDOW, site.business, run_id)
    for n in range(2, 6):
        assert (await add(site, run_id, {"leads": leads(1, n)})).status == 201
    assert await zones(site, run_id) == [("IL:Asia/Jerusalem", 1, 5, 1)]
    assert len((await site.database.claim(site.business))[0]) == 3
    await add(site, run_id, {"leads": [american(100)]})
    await add(site, run_id, {"leads": leads(1, 6)})
    assert [(zone, first, last) for zone, first, last, _ in await zones(site, run_id)] == [
        ("IL:Asia/Jerusalem", 1, 5),
        ("US:America/New_York", 6, 6),
        ("IL:Asia/Jerusalem", 7, 7),
    ]
    rows = await site.database.pool.fetch(WINDOWS, site.business, run_id)
    assert [tuple(row) for row in rows] == [("IL:Asia/Jerusalem", 2, 1, False), ("US:America/New_York", 1, 1, True)]
    await site.database.checked_run(site.business, run_id)


async def test_a_new_zone_of_a_run_without_hours_is_open_at_once(site: Site) -> None:
    run_id = await site.load(1)
    assert (await add(site, run_id, {"leads": [american(100)]})).status == 201
    assert {attempt.phone for attempt in (await site.database.claim(site.business))[0]} == {"+972500000001", "+12025550100"}


async def test_leads_are_added_past_a_zone_that_is_locked(site: Site) -> None:
    run_id = await site.load(1)
    async with site.database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM dialer.run_zones WHERE business_id = $1 FOR UPDATE", site.business)
        assert (await add(site, run_id, {"leads": leads(1, 2)})).status == 201
    assert await zones(site, run_id) == [("IL:Asia/Jerusalem", 1, 1, 1), ("IL:Asia/Jerusalem", 2, 2, 2)]


async def test_nothing_is_added_to_a_run_that_has_ended(site: Site) -> None:
    run_id = await site.load(1, start=False)
    await site.post("/api/outbound/stop-queue", {"run_id": run_id})
    said = await add(site, run_id, {"leads": leads(3)})
    assert (said.status, said.code, "The campaign is stopped" in said.json["error"]) == (409, "invalid_state", True)
    assert len(await jobs(site, run_id)) == 1
    assert (await add(site, run_id, {"leads": leads(3)}, token="viewer")).status == 403


async def finished(site: Site) -> int:
    """A run whose three leads were answered, busy and answered by a machine; a fourth is queued."""
    run_id = await site.load(4)
    attempts, _ = await site.database.claim(site.business)
    for attempt, (status, answered_by) in zip(
        attempts, (("completed", "human"), ("busy", ""), ("completed", "machine_start")), strict=True
    ):
        more = {"AnsweredBy": answered_by} if answered_by else {}
        await site.post_callback(attempt, status, **more)
    return run_id


async def test_who_was_cancelled_before_any_call_is_called_again_by_the_status(site: Site) -> None:
    source = await site.load(1, start=False)
    refused = await site.post(f"{RUNS}/{source}/again", {"outcomes": ["busy"]})
    assert (refused.status, "jobs/again" in refused.json["error"]) == (422, False)
    await site.post(f"/api/outbound_calls/jobs/{source}/cancel", {})
    refused = await site.post(f"{RUNS}/{source}/again", {"outcomes": ["busy"]})
    assert (refused.status, "jobs/again and the status cancelled" in refused.json["error"]) == (422, True)


async def test_leads_are_called_again_by_their_outcomes(site: Site) -> None:
    source = await finished(site)
    said = await site.post(f"{RUNS}/{source}/again", {"outcomes": ["busy", "machine"], "name": "again", "priority": 2, "start": True})
    assert said.status == 201, said.body
    answer = said.json
    assert (answer["status"], answer["total_leads"], answer["accepted"]) == ("running", 2, 2)
    assert (answer["rejected"], answer["duplicates"], answer["read_as"]) == ([], [], [])
    run = await site.database.checked_run(site.business, answer["run_id"])
    assert (run.name, run.priority, run.queued, run.settings) == ("again", 2, 2, {"priority": 2})
    before = {job["lead_id"]: (job["phone"], job["name"]) for job in await jobs(site, source) if job["outcome"] in {"busy", "machine"}}
    after = await jobs(site, run.run_id)
    assert {job["lead_id"]: (job["phone"], job["name"]) for job in after} == before
    assert {job["status"] for job in after} == {"queued"}
    assert await zones(site, run.run_id) == [("IL:Asia/Jerusalem", 1, 2, 1)]
    third = (await site.post(f"{RUNS}/{run.run_id}/jobs/{after[0]['job_id']}/cancel")).status
    assert third == 200


async def test_the_calls_of_the_ancestors_do_not_count_for_the_gap(site: Site) -> None:
    await site.request("PATCH", "/api/business", json={"min_gap_hours": 24}, token="admin")
    source = await finished(site)
    child = (await site.post(f"{RUNS}/{source}/again", {"outcomes": ["busy"], "start": True})).json["run_id"]
    query = "SELECT ancestors FROM public.outbound_call_runs WHERE business_id = $1 AND id = $2"
    assert await site.database.pool.fetchval(query, site.business, child) == [source]
    await site.post("/api/outbound/stop-queue", {"run_id": source})
    [attempt], _ = await site.database.claim(site.business)
    await site.post_callback(attempt, "busy")
    grandchild = (await site.post(f"{RUNS}/{child}/again", {"outcomes": ["busy"], "start": True})).json["run_id"]
    assert await site.database.pool.fetchval(query, site.business, grandchild) == [source, child]
    assert [attempt.run_id for attempt in (await site.database.claim(site.business))[0]] == [grandchild]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "invalid", "outcomes"),
    ({"outcomes": []}, "invalid", "outcomes"),
    ({"outcomes": ["sleepy"]}, "invalid", "outcomes.0"),
    ({"outcomes": "busy"}, "invalid", "outcomes"),
    ({"outcomes": ["busy"], "leads": []}, "invalid", "leads"),
    ({"outcomes": ["busy"], "max_per_day": -1}, "invalid", "max_per_day"),
    ({"outcomes": ["lost", "fax"]}, "no_leads", "outcomes"),
]


async def test_what_cannot_be_called_again_is_named(site: Site) -> None:
    source = await finished(site)
    for body, code, field in WRONG:
        for language in ("en", "he"):
            said = await site.post(f"{RUNS}/{source}/again", body, headers={"Accept-Language": language})
            assert (said.status, said.code, said.json["details"][0]["field"]) == (422, code, field)
            assert said.json["details"][0]["message"].isascii() == (language == "en") or field == "outcomes.0"
    assert await site.database.pool.fetchval("SELECT count(*) FROM public.outbound_call_runs WHERE business_id = $1", site.business) == 1


async def test_calling_again_is_idempotent(site: Site) -> None:
    source = await finished(site)
    key, body = {"Idempotency-Key": "k"}, {"outcomes": ["human"]}
    first, second = await asyncio.gather(*(site.post(f"{RUNS}/{source}/again", body, headers=key) for _ in range(2)))
    assert (first.status, first.body) == (201, second.body)
    other = await site.post(f"{RUNS}/{source}/again", {"outcomes": ["busy"]}, headers=key)
    assert (other.status, other.code) == (409, "idempotency_conflict")
