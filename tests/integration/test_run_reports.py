"""What a person asks about a run, a lead and the day of a business: the answers, in both languages, and of no other business."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from actors.supervisor import stalls
from dialer.model import AttemptState
from sql.jobs.jobs import TEXT
from tests.integration.test_worker import Floor, floor, twilio, until  # noqa: F401 fixtures
from tests.web_site import RUNS, serving
from web.operations.job_filter import OUTCOMES, phone_patterns
from web.operations.reports.business_summary import midnight

if TYPE_CHECKING:
    from telephony.simulator import Simulator
    from tests.web_site import Site

SUMMARY = "/api/outbound/summary"
DRIVEN = "UPDATE outbound_call_runs SET lock_ts = dialer.utc() WHERE business_id = $1"
CLOSED = "UPDATE dialer.run_zones SET opens_at = now() + interval '1 hour', closes_at = now() + interval '2 hours' WHERE run_id = $1"
OPEN = "UPDATE dialer.run_zones SET opens_at = '-infinity', closes_at = 'infinity' WHERE run_id = $1"
PASSED = "UPDATE dialer.run_zones SET next_position = last_position + 1 WHERE run_id = $1"
RETRY = """
INSERT INTO dialer.retries (business_id, run_id, job_id, zone, due_at, reason)
SELECT j.business_id, j.run_id, j.id, z.zone, now() + make_interval(mins => $3), $4
FROM outbound_call_jobs j JOIN dialer.run_zones z ON z.run_id = j.run_id WHERE j.run_id = $1 AND j.position = $2
"""
REQUIRE = """UPDATE dialer.businesses SET required_registers = '[{"name": "Robinson", "max_age_days": 15}]' WHERE business_id = $1"""
REGISTER = """
INSERT INTO dialer.registers (business_id, name, imported_at, current) VALUES ($1, 'Robinson', now() - make_interval(days => $2), TRUE)
"""
HEBREW = {"Accept-Language": "he"}


async def shown(site: Site, run: int) -> dict[str, Any]:
    return dict((await site.get(f"{RUNS}/{run}")).json)


async def waits(site: Site, run: int) -> list[str]:
    """The reasons, each with a sentence in both languages."""
    english, hebrew = (await shown(site, run))["waits_for"], (await site.get(f"{RUNS}/{run}", headers=HEBREW)).json["waits_for"]
    for one, other in zip(english, hebrew, strict=True):
        assert one["detail"] != other["detail"]
        assert one["detail"].endswith(".")
    return [wait["reason"] for wait in english]


def in_minutes(moment: str) -> int:
    return round((datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds() / 60)


async def running(site: Site, count: int = 3) -> int:
    run = await site.load(count)
    await site.database.pool.execute(DRIVEN, site.business)
    return run


async def test_closed_and_waiting_leads_say_until_when(site: Site) -> None:
    run = await running(site)
    execute = site.database.pool.execute
    assert await waits(site, run) == []
    await execute(CLOSED, run)
    assert await waits(site, run) == ["closed"]
    [closed] = (await shown(site, run))["waits_for"]
    assert in_minutes(closed["until"]) == 60
    await execute("UPDATE dialer.run_zones SET opens_at = 'infinity', closes_at = 'infinity' WHERE run_id = $1", run)
    [never] = (await shown(site, run))["waits_for"]
    assert (never["reason"], "until" in never) == ("closed", False)
    await execute(PASSED, run)
    await execute(OPEN, run)
    await execute(RETRY, run, 1, 30, "retry")
    await execute(RETRY, run, 2, 90, "daily_cap")
    await execute(RETRY, run, 3, 60, "gap")
    assert await waits(site, run) == ["recently_called", "retry"]
    assert [in_minutes(wait["until"]) for wait in (await shown(site, run))["waits_for"]] == [60, 30]
    await execute("UPDATE dialer.retries SET due_at = now() WHERE reason = 'retry' AND run_id = $1", run)
    assert await waits(site, run) == [], "one of them can be called"
    await execute(CLOSED, run)
    assert await waits(site, run) == ["closed", "recently_called"]


async def test_a_zone_that_is_open_is_dialled_whatever_the_others_are(site: Site) -> None:
    run = await running(site)
    await site.database.pool.execute(CLOSED, run)
    await site.database.pool.execute(
        "INSERT INTO dialer.run_zones VALUES ($1, $2, 'US:America/Chicago', 4, 5, 4, now() - interval '1 hour', now() + interval '1 hour')",
        site.business,
        run,
    )
    assert await waits(site, run) == []


async def test_a_scheduled_run_says_when_and_one_that_nobody_starts_that_there_is_no_worker(site: Site) -> None:
    run = await site.load(2, start=False)
    assert await waits(site, run) == []
    await site.database.pool.execute("UPDATE outbound_call_runs SET schedule_at = dialer.utc() + interval '2 hours' WHERE id = $1", run)
    [wait] = (await shown(site, run))["waits_for"]
    assert (wait["reason"], in_minutes(wait["until"])) == ("scheduled", 120)
    await site.database.pool.execute("UPDATE outbound_call_runs SET schedule_at = dialer.utc() - interval '1 minute' WHERE id = $1", run)
    assert await waits(site, run) == ["no_worker", "scheduled"]


async def test_a_register_that_is_missing_or_old(site: Site) -> None:
    run = await running(site)
    await site.database.pool.execute(REQUIRE, site.business)
    assert await waits(site, run) == ["register_too_old"]
    [wait] = (await shown(site, run))["waits_for"]
    assert ("Robinson has not been imported" in wait["detail"], wait["since"]) == (True, None)
    await site.database.pool.execute(REGISTER, site.business, 16)
    [wait] = (await shown(site, run))["waits_for"]
    assert (wait["reason"], in_minutes(wait["since"])) == ("register_too_old", -24 * 60)
    imported_on = (datetime.now(ZoneInfo("Asia/Jerusalem")) - timedelta(days=16)).date()
    assert f"is too old: it was imported on {imported_on}" in wait["detail"]
    await site.database.pool.execute("UPDATE dialer.registers SET imported_at = now() - interval '14 days'")
    assert await waits(site, run) == []


async def test_a_budget_that_is_used_up_comes_before_the_pause_it_made(site: Site) -> None:
    run = await running(site)
    await site.database.pool.execute("""UPDATE outbound_call_runs SET settings = '{"budget": {"calls": 2}}' WHERE id = $1""", run)
    assert len((await site.database.claim(site.business))[0]) == 2
    await site.database.claim(site.business)
    assert (await shown(site, run))["status"] == "paused"
    assert await waits(site, run) == ["budget", "paused"]


async def test_the_lines_are_in_use_by_this_run_or_by_another(site: Site) -> None:
    first, second = await running(site, 6), await site.load(2, concurrency=1)
    await site.database.pool.execute(DRIVEN, site.business)
    await site.database.pool.execute("UPDATE outbound_call_runs SET priority = 1 WHERE id = $1", first)
    attempts, _ = await site.database.claim(site.business)
    for attempt in attempts:
        await site.database.record(attempt, AttemptState.PLACED, sid=f"CA{attempt.attempt_id}")
    assert (await waits(site, first), await waits(site, second)) == (["lines_in_use"], ["other_run"])
    await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
    await site.database.pool.execute("UPDATE outbound_call_runs SET concurrency = 2 WHERE id = $1", first)
    [wait] = (await shown(site, first))["waits_for"]
    assert (wait["reason"], "this campaign" in wait["detail"]) == ("lines_in_use", True)
    assert await waits(site, second) == []


async def test_a_run_that_waits_for_the_pace_of_its_account(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    database_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(stalls.REPORT_AFTER_SECONDS, stalls.PACED, 0.0)
    async with serving(database_url, redis_url, floor.database) as site:
        run = await site.load(3)

        async def is_paced() -> bool:
            return [wait["reason"] for wait in (await shown(site, run))["waits_for"]] == ["paced"]

        async with floor.worker(twilio.url, DIALER_CALLS_PER_SECOND=0.01):
            await until(is_paced)
            assert await waits(site, run) == ["paced"]


async def test_the_end_is_estimated_from_recent_calls(site: Site) -> None:
    run = await running(site, 30)
    for ended in (3, 6, 9, 12):
        assert (await shown(site, run))["ends_at"] is None, f"{ended - 3} calls tell nothing of 30"
        for attempt in (await site.database.claim(site.business))[0]:
            await site.database.record(attempt, AttemptState.OVER, outcome="no-answer")
    await site.database.pool.execute("UPDATE dialer.attempts SET created_at = ended_at - interval '60 seconds'")
    seen = await shown(site, run)
    # 18 calls of a minute on three lines.
    assert (in_minutes(seen["ends_at"]), seen["outcomes"]) == (6, {**dict.fromkeys(OUTCOMES, 0), "no-answer": 12})
    await site.load(2)
    assert in_minutes((await shown(site, run))["ends_at"]) == 12, "another run takes half of the lines"
    await site.database.pool.execute(CLOSED, run)
    assert in_minutes((await shown(site, run))["ends_at"]) == 60 + 12
    await site.post(f"{RUNS}/{run}/pause", {})
    assert (await shown(site, run))["ends_at"] is None


async def test_why_a_lead_is_not_called(site: Site) -> None:
    run = await running(site)
    [job, other, last] = [job["job_id"] for job in (await site.get(f"{RUNS}/{run}/jobs")).json["items"]]

    async def why(job_id: int) -> list[dict[str, Any]]:
        english = (await site.get(f"{RUNS}/{run}/jobs/{job_id}")).json["why"]
        hebrew = (await site.get(f"{RUNS}/{run}/jobs/{job_id}", headers=HEBREW)).json["why"]
        assert all(one["detail"].endswith(".") and one["detail"] != two["detail"] for one, two in zip(english, hebrew, strict=True))
        return list(english)

    assert await why(job) == []
    await site.database.pool.execute(CLOSED, run)
    [hours] = await why(job)
    assert (hours["rule"], hours["verdict"], in_minutes(hours["until"])) == ("hours", "wait", 60)
    await site.database.pool.execute(OPEN, run)
    await site.database.pool.execute(RETRY, run, 1, 30, "retry")
    [retry] = await why(job)
    assert (retry["rule"], in_minutes(retry["until"])) == ("retry", 30)
    await site.database.pool.execute(
        "INSERT INTO dialer.do_not_call (business_id, phone) SELECT business_id, phone FROM outbound_call_jobs WHERE id = $1", other
    )
    await site.database.pool.execute("UPDATE dialer.run_zones SET next_position = 2 WHERE run_id = $1", run)
    await site.database.claim(site.business, permits=1)
    [listed] = await why(other)
    assert (listed["rule"], listed["verdict"], "until" in listed) == ("do_not_call", "skip", False)
    assert (await site.get(f"{RUNS}/{run}/jobs/{other}")).json["reason"] == "do_not_call"
    await site.post("/api/stop-dialling", {"reason": "A wrong script."})
    assert [reason["rule"] for reason in await why(job)] == ["stopped", "retry"]
    assert [reason["rule"] for reason in await why(other)] == ["do_not_call"], "it is over"
    await site.post(f"{RUNS}/{run}/pause", {})
    assert [reason["rule"] for reason in await why(job)] == ["stopped", "paused", "retry"]
    await site.database.pool.execute(
        "INSERT INTO dialer.refusals VALUES ($1, $2, $3, 'gap', 'wait', now(), now()), ($1, $2, $3, 'new', 'skip', now(), NULL)",
        site.business,
        run,
        last,
    )
    assert {"gap", "new"} == {reason["rule"] for reason in await why(last)}


RULES = {
    "do_not_call": "skip",
    "register": "skip",
    "country": "skip",
    "number": "skip",
    "hours": "skip",
    "gap": "wait",
    "daily_cap": "wait",
    "budget": "wait",
}


async def test_every_refusal_is_told_in_both_languages(site: Site) -> None:
    run = await running(site, 1)
    [job] = (await site.get(f"{RUNS}/{run}/jobs")).json["items"]
    refuse = "INSERT INTO dialer.refusals (business_id, run_id, job_id, rule, verdict) VALUES ($1, $2, $3, $4, $5)"
    for rule, verdict in RULES.items():
        await site.database.pool.execute(refuse, site.business, run, job["job_id"], rule, verdict)
    path = f"{RUNS}/{run}/jobs/{job['job_id']}"
    english, hebrew = (await site.get(path)).json["why"], (await site.get(path, headers=HEBREW)).json["why"]
    assert {reason["rule"]: reason["verdict"] for reason in english} == RULES
    details = {reason["detail"] for reason in [*english, *hebrew]}
    assert len(details) == 2 * len(RULES), "each has a sentence of its own"
    assert (await site.get(path.replace(str(job["job_id"]), "424242"))).body == (await site.get(path, token="rival")).body


async def test_every_reason_to_skip_a_lead_is_shown(site: Site) -> None:
    run = await running(site, 6)
    reasons = ["do_not_call", "number_refused", "hours_never_open", "country_not_allowed", "recently_called", "rejected"]
    skip = "UPDATE outbound_call_jobs SET status = 'skipped', reason = ($2::text[])[position] WHERE run_id = $1"
    await site.database.pool.execute(skip, run, reasons)
    assert [job["reason"] for job in (await site.get(f"{RUNS}/{run}/jobs?status=skipped")).json["items"]] == reasons


async def test_leads_are_found_by_name_number_and_id(site: Site) -> None:
    rows = [
        {"lead_id": 1, "phone": "0501234567", "name": "Dana Levi"},
        {"lead_id": "A-7", "phone": "+12125550199", "name": "100% Avi_"},
        {"lead_id": 50123, "phone": "0527654321", "name": "דנה כהן"},
    ]
    run = (await site.post(RUNS, {"leads": rows})).json["run_id"]

    async def found(text: str, **more: str) -> list[object]:
        response = await site.get(f"{RUNS}/{run}/jobs", params={"search": text, **more})
        return [job["lead_id"] for job in response.json["items"]]

    for spelling in ("050-123-4567", "+972 50 1234567", "972501234567", "00972501234567", "+972 (0)50-1234567", "0501234", "1234567"):
        assert await found(spelling) == [1], spelling
    assert await found("(212) 555-0199") == ["A-7"]
    assert (await found("levi"), await found("דנה"), await found("A-7")) == ([1], [50123], ["A-7"])
    assert await found("50123") == [1, 50123], "a lead id, and the digits of a number"
    assert (await found("%"), await found("_"), await found("100%")) == (["A-7"], ["A-7"], ["A-7"])
    assert (await found("nobody"), await found("12")) == ([], [])
    assert await found("levi", status="completed") == []
    assert (await site.get(f"{RUNS}/{run}/jobs", params={"search": "x" * 256})).status == 422
    assert (await site.get(f"{RUNS}/{run}/jobs", params={"search": "\x00"})).status == 422


async def test_a_search_reads_a_long_list_without_a_call_for_each_row(site: Site) -> None:
    """An SQL function that the planner does not inline takes forty times as long."""
    arguments = (site.business, 1, 0, ["queued"], ["busy"], "%x%", "x", ["+1%"], 50)
    plan = await site.database.pool.fetch(f"EXPLAIN (VERBOSE) {TEXT['page']}", *arguments)
    assert "job_matches" not in "".join(row[0] for row in plan)


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("8 912 345-67-89", "RU", "+79123456789"),
        ("06 20 123 4567", "HU", "+36201234567"),
        ("02 1234 5678", "IT", "+390212345678"),
        ("(0)20 7946 0018", "GB", "+442079460018"),
    ],
)
def test_a_national_spelling_means_the_number_abroad(text: str, region: str, number: str) -> None:
    assert any(number.startswith(pattern.strip("%")) or pattern.strip("%") in number for pattern in phone_patterns(text, region))


async def test_outcomes_are_a_list_of_known_words(site: Site) -> None:
    run = await site.load(3)
    attempts, _ = await site.database.claim(site.business)
    for attempt, outcome in zip(attempts, ("busy", "no-answer", "failed"), strict=True):
        await site.database.record(attempt, AttemptState.OVER, outcome=outcome)
    jobs = (await site.get(f"{RUNS}/{run}/jobs?outcome=busy,failed")).json["items"]
    assert [job["outcome"] for job in jobs] == ["busy", "failed"]
    for wrong in ("busy,", "engaged", "Busy"):
        response = await site.get(f"{RUNS}/{run}/jobs?outcome={wrong}")
        assert (response.status, response.json["details"][0]["field"]) == (422, "outcome")


async def test_lists_can_be_read_backwards(site: Site) -> None:
    run = await site.load(7)
    jobs = f"{RUNS}/{run}/jobs?limit=3"
    pages = [(await site.get(jobs)).json]
    while pages[-1]["next_cursor"]:
        pages.append((await site.get(f"{jobs}&cursor={pages[-1]['next_cursor']}")).json)
    assert [len(page["items"]) for page in pages] == [3, 3, 1]
    assert pages[0]["previous_cursor"] is None
    for page, before in ((pages[2], pages[1]), (pages[1], pages[0])):
        assert (await site.get(f"{jobs}&cursor={page['previous_cursor']}")).json == before
    for _ in range(3):
        await site.load(1, start=False)
    first = (await site.get(f"{RUNS}?limit=2")).json
    second = (await site.get(f"{RUNS}?limit=2&cursor={first['next_cursor']}")).json
    assert (first["previous_cursor"], second["next_cursor"]) == (None, None)
    back = (await site.get(f"{RUNS}?limit=2&cursor={second['previous_cursor']}")).json
    assert [item["run_id"] for item in back["items"]] == [item["run_id"] for item in first["items"]]


async def test_the_summary_of_a_business(site: Site) -> None:
    empty = (await site.get(SUMMARY, token="viewer")).json
    nothing = {"calls": 0, "outcomes": dict.fromkeys(OUTCOMES, 0)}
    assert empty == {"lines": {"max": 3, "in_use": 0, "free": 3}, "running": 0, "today": nothing, "alarms": []}
    await running(site, 5)
    rivals = await site.rivals_run(3)
    attempts, _ = await site.database.claim(site.business)
    await site.database.claim(site.rival)
    await site.database.record(attempts[0], AttemptState.OVER, outcome="completed", answered_by="human")
    await site.database.record(attempts[1], AttemptState.NOT_SENT)
    seen = (await site.get(SUMMARY)).json
    assert (seen["lines"], seen["running"], seen["today"]["calls"]) == ({"max": 3, "in_use": 1, "free": 2}, 1, 2)
    assert {outcome: n for outcome, n in seen["today"]["outcomes"].items() if n} == {"human": 1}
    assert seen["alarms"] == []
    await site.database.pool.execute("UPDATE dialer.attempts SET created_at = created_at - interval '2 days'")
    assert (await site.get(SUMMARY)).json["today"] == nothing
    assert rivals


async def test_the_alarms_of_a_business(site: Site) -> None:
    await site.load(5)
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.UNKNOWN)
    await site.database.pool.execute("UPDATE dialer.attempts SET excess = TRUE WHERE id = $1", attempts[1].attempt_id)
    await site.database.pool.execute("UPDATE outbound_call_runs SET started_at = started_at - interval '1 minute'")
    await site.database.pool.execute("INSERT INTO dialer.stalls (business_id, reason) VALUES ($1, 'history')", site.business)
    alarms = (await site.get(SUMMARY)).json["alarms"]
    assert [alarm["code"] for alarm in alarms] == ["excess", "no_worker", "history", "unconfirmed_calls"]
    await site.database.pool.execute(REQUIRE, site.business)
    await site.post("/api/stop-dialling", {"reason": "A wrong script."})
    alarms = (await site.get(SUMMARY)).json["alarms"]
    # No worker drives a business that is stopped: it would find nothing to do.
    assert [alarm["code"] for alarm in alarms] == ["excess", "stopped", "register_too_old", "history", "unconfirmed_calls"]
    assert all(alarm["detail"].endswith(".") for alarm in alarms)
    assert [alarm["code"] for alarm in alarms if not alarm["since"]] == ["register_too_old"]
    hebrew = (await site.get(SUMMARY, headers=HEBREW)).json["alarms"]
    assert all(one["detail"] != other["detail"] for one, other in zip(alarms, hebrew, strict=True))
    assert (await site.get(SUMMARY, token="rival")).json["alarms"] == []


@pytest.mark.parametrize(
    ("now", "zone", "began"),
    [
        ("2026-03-08T12:00:00+00:00", "America/New_York", "2026-03-08T00:00:00-05:00"),
        ("2026-06-01T22:30:00+00:00", "Asia/Jerusalem", "2026-06-02T00:00:00+03:00"),
        ("2026-06-01T20:30:00+00:00", "Asia/Jerusalem", "2026-06-01T00:00:00+03:00"),
    ],
)
def test_a_day_begins_where_the_business_is(now: str, zone: str, began: str) -> None:
    assert midnight(datetime.fromisoformat(now), zone) == datetime.fromisoformat(began)
    assert timedelta(0) <= datetime.fromisoformat(now) - midnight(datetime.fromisoformat(now), zone) < timedelta(days=1)
