"""Runs over HTTP: listed, shown, started, and invisible to other businesses."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from tests.web_site import Response, Site

COUNTS = ("queued", "in_progress", "completed", "failed", "cancelled", "skipped")


async def runs_of(site: Site) -> int:
    found: int = await site.database.pool.fetchval("SELECT count(*) FROM public.outbound_call_runs WHERE business_id = $1", site.business)
    return found


def fields(response: Response) -> set[str]:
    return {detail["field"] for detail in response.json["details"]}


async def test_runs_are_listed_newest_first_in_pages(site: Site) -> None:
    ids = [await site.load(1, start=n % 2 == 0) for n in range(5)]
    await site.rivals_run()
    first = (await site.get(f"{RUNS}?limit=3")).json
    rest = (await site.get(f"{RUNS}?limit=3&cursor={first['next_cursor']}")).json
    assert [run["run_id"] for run in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
    running = (await site.get(f"{RUNS}?status=running,paused")).json["items"]
    assert [run["run_id"] for run in running] == ids[::-2]


@pytest.mark.parametrize(
    "query", ["status=bogus", "limit=0", "limit=x", "limit=9999", "cursor=-1", "cursor=' OR 1=1", "colour=red", "limit=1&limit=2"]
)
async def test_wrong_queries_are_rejected_by_name(site: Site, query: str) -> None:
    response = await site.get(f"{RUNS}?{query}")
    assert (response.status, response.code) == (422, "invalid")
    assert fields(response) == {query.split("=", maxsplit=1)[0]}


async def test_a_run_has_the_fields_of_the_contract(site: Site) -> None:
    run_id = await site.load(5)
    await site.database.claim(site.business)
    run = (await site.get(f"{RUNS}/{run_id}")).json
    assert sum(run[name] for name in COUNTS) == run["total_leads"] == 5
    assert (run["in_progress"], run["cursor_position"], run["can_cancel"], run["cancel_requested"]) == (3, 3, True, False)
    assert run["created_at"].endswith("+00:00")
    assert {"ended_at", "locked_by_worker", "lock_ts", "last_error", "started_at", "concurrency"} <= set(run)


async def test_start_pause_resume(site: Site) -> None:
    run_id = await site.load(2, start=False)
    for verb, status in (("start", "running"), ("pause", "paused"), ("resume", "running")):
        response = await site.post(f"{RUNS}/{run_id}/{verb}")
        assert (response.status, response.json["status"]) == (200, status)
    for verb in ("start", "resume"):
        response = await site.post(f"{RUNS}/{run_id}/{verb}")
        assert (response.status, response.code) == (409, "invalid_state")
        assert response.json["error"] == "The campaign is running: this is not possible now."


@pytest.mark.parametrize("number", ["0", "-1", "abc", "99999999", "2147483648", "9" * 40, "1%20OR%201=1", "1;DROP", "%D9%A1"])
async def test_an_impossible_id_is_answered_like_a_missing_one(site: Site, number: str) -> None:
    run_id = await site.load(1)
    missing = await site.get(f"{RUNS}/424242")
    assert missing.code == "not_found"
    for method, path in (
        ("GET", f"{RUNS}/{number}"),
        ("GET", f"{RUNS}/{number}/jobs"),
        ("GET", f"{RUNS}/{number}/events"),
        ("GET", f"{RUNS}/{number}/export.csv"),
        ("GET", f"{RUNS}/{run_id}/jobs/{number}"),
        ("POST", f"{RUNS}/{number}/start"),
        ("POST", f"/api/outbound_calls/jobs/{number}/cancel"),
        ("POST", f"{RUNS}/{run_id}/jobs/{number}/cancel"),
    ):
        response = await site.request(method, path)
        assert (response.status, response.body) == (404, missing.body), path


async def test_another_business_s_rows_are_answered_like_missing_ones(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    theirs, ours, missing = await site.rivals_run(), await site.load(1), 424242
    job_id = await site.database.pool.fetchval("SELECT min(id) FROM public.outbound_call_jobs WHERE run_id = $1", theirs)

    def asked(run_id: int, job_id: int) -> list[tuple[str, str, object]]:
        return [
            ("GET", f"{RUNS}/{run_id}", None),
            ("GET", f"{RUNS}/{run_id}/jobs", None),
            ("GET", f"{RUNS}/{run_id}/jobs/{job_id}", None),
            ("GET", f"{RUNS}/{run_id}/events", None),
            ("GET", f"{RUNS}/{run_id}/export.csv", None),
            ("GET", f"{RUNS}/{ours}/jobs/{job_id}", None),
            ("POST", f"{RUNS}/{run_id}/start", None),
            ("POST", f"{RUNS}/{run_id}/pause", None),
            ("POST", f"{RUNS}/{run_id}/resume", None),
            ("POST", f"{RUNS}/{run_id}/jobs/{job_id}/cancel", {"hang_up": True}),
            ("POST", f"{RUNS}/{ours}/jobs/{job_id}/cancel", None),
            ("POST", f"{RUNS}/{run_id}/jobs/{job_id}/resolve", {"as": "over"}),
            ("POST", f"/api/outbound_calls/jobs/{run_id}/cancel", {"hang_up": True}),
            ("POST", "/api/outbound/stop-queue", {"run_id": run_id}),
        ]

    for (method, path, body), (_, other, other_body) in zip(asked(theirs, job_id), asked(missing, missing), strict=True):
        caplog.clear()
        response = await site.request(method, path, json=body)
        lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("[SECURITY]")]
        assert lines, path
        assert all(f"business {site.business} " in line and line.endswith(f"business {site.rival}") for line in lines)
        absent = await site.request(method, other, json=other_body)
        assert (response.status, response.body) == (absent.status, absent.body) == (404, absent.body), path
        assert {name for name in response.headers if name != "Date"} == {name for name in absent.headers if name != "Date"}
    run = await site.database.checked_run(site.rival, theirs)
    assert (run.status, run.queued, run.cancel_requested) == ("running", 2, False)


async def test_the_same_key_twice_at_once_loads_one_run(site: Site) -> None:
    body, key = {"leads": leads(3), "start": True}, {"Idempotency-Key": "one"}
    responses = await asyncio.gather(*(site.post(RUNS, body, headers=key) for _ in range(6)))
    assert {response.status for response in responses} == {201}
    assert len({response.body for response in responses}) == 1
    assert await runs_of(site) == 1
    other = await site.post(RUNS, {"leads": leads(2)}, headers=key)
    assert (other.status, other.code) == (409, "idempotency_conflict")
    assert await runs_of(site) == 1


async def test_a_key_belongs_to_its_business(site: Site) -> None:
    key = {"Idempotency-Key": "one"}
    ours = await site.post(RUNS, {"leads": leads(3)}, headers=key)
    theirs = await site.post(RUNS, {"leads": [{"lead_id": 1, "phone": "+12025550123"}]}, headers=key, token="rival")
    assert ours.status == theirs.status == 201
    assert ours.json["run_id"] != theirs.json["run_id"]


async def test_a_command_with_a_key_takes_effect_once(site: Site) -> None:
    run_id, key = await site.load(3, start=False), {"Idempotency-Key": "k"}
    first = await site.post(f"{RUNS}/{run_id}/start", headers=key)
    await site.post(f"{RUNS}/{run_id}/pause")
    again = await site.post(f"{RUNS}/{run_id}/start", headers=key)
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert (await site.get(f"{RUNS}/{run_id}")).json["status"] == "paused"
    response = await site.post(f"/api/outbound_calls/jobs/{run_id}/cancel", {}, headers=key)
    other = await site.post(f"/api/outbound_calls/jobs/{run_id}/cancel", {"hang_up": True}, headers=key)
    assert (response.status, other.status, other.code) == (200, 409, "idempotency_conflict")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_malformed_key_is_rejected(site: Site, key: str) -> None:
    response = await site.post(RUNS, {"leads": leads(1)}, headers={"Idempotency-Key": key})
    assert (response.status, fields(response)) == (422, {"Idempotency-Key"})


async def test_errors_are_translated(site: Site) -> None:
    response = await site.get(f"{RUNS}/424242", headers={"Accept-Language": "he-IL,he;q=0.9"})
    assert any("\u05d0" <= letter <= "\u05ea" for letter in response.json["error"])


async def test_responses_have_security_headers(site: Site) -> None:
    for path in ("/healthz", RUNS, "/api/docs", f"{RUNS}/424242"):
        headers = (await site.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "max-age" in headers["Strict-Transport-Security"]
        json.dumps(dict(headers))
