"""Why a lead is not called, as its page and the API tell it: what holds now, what is over, and what keeps its whole run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dialer.model import AttemptState
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.integration.test_bulk_operations import begun, carried_out
from tests.integration.test_run_reports import PASSED, RETRY, in_minutes, running, shown
from tests.web_site import RUNS

if TYPE_CHECKING:
    from tests.web_site import Site

NEVER_OPENS = "UPDATE dialer.run_zones SET opens_at = 'infinity', closes_at = 'infinity' WHERE run_id = $1"
CLOSED = "UPDATE dialer.run_zones SET opens_at = now() + interval '9 hours', closes_at = now() + interval '10 hours' WHERE run_id = $1"
MISSING = "UPDATE dialer.attempts SET evidence = '{\"missing\": 1700000000}'"
PUT_OFF = """INSERT INTO dialer.refusals (business_id, run_id, job_id, rule, verdict, at, until)
SELECT business_id, run_id, id, $2, 'wait', now() - interval '2 hours', now() - interval '1 hour'
FROM outbound_call_jobs WHERE run_id = $1 AND position = 1"""


async def reasons(site: Site, run: int, position: int = 1, language: str = "en") -> list[dict[str, Any]]:
    job_id = await site.database.pool.fetchval("SELECT id FROM outbound_call_jobs WHERE run_id = $1 AND position = $2", run, position)
    return list((await site.get(f"{RUNS}/{run}/jobs/{job_id}", headers={"Accept-Language": language})).json["why"])


async def test_the_page_of_a_lead_says_why_and_until_when(site: Site) -> None:
    run = await running(site, 1)
    await site.database.pool.execute(CLOSED, run)
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in()
    job_id = await site.database.pool.fetchval("SELECT id FROM outbound_call_jobs WHERE run_id = $1", run)
    page = text_of(await browser.get(f"/runs/{run}/jobs/{job_id}"))
    assert ("outside calling hours" in page, "Not before" in page) == (True, True)
    browser.language = "he"
    page = text_of(await browser.get(f"/runs/{run}/jobs/{job_id}"))
    assert ("שעות החיוג" in page, "לא לפני" in page) == (True, True)


async def test_a_wait_that_is_over_is_told_in_the_past(site: Site) -> None:
    run = await running(site, 1)
    await site.database.pool.execute(PUT_OFF, run, "gap")
    [queued] = await reasons(site, run)
    assert "had been called recently" in queued["detail"]
    await site.database.pool.execute("UPDATE dialer.refusals SET until = now() + interval '1 hour'")
    assert "will be called" in (await reasons(site, run))[0]["detail"]
    await site.database.pool.execute("UPDATE outbound_call_jobs SET status = 'completed' WHERE run_id = $1", run)
    [completed] = await reasons(site, run)
    assert completed["detail"] == queued["detail"] != (await reasons(site, run, language="he"))[0]["detail"]


async def test_a_lead_that_a_rule_puts_off_is_told_so_once(site: Site) -> None:
    for rule in ("gap", "daily_cap"):
        run = await running(site, 1)
        await site.database.pool.execute(PASSED, run)
        await site.database.pool.execute(PUT_OFF, run, rule)
        await site.database.pool.execute("UPDATE dialer.refusals SET until = now() + interval '1 hour' WHERE run_id = $1", run)
        await site.database.pool.execute(RETRY, run, 1, 60, rule)
        assert [wait["reason"] for wait in (await shown(site, run))["waits_for"]] == ["recently_called"]
        assert [reason["rule"] for reason in await reasons(site, run)] == [rule]


async def test_hours_that_never_open_promise_no_call(site: Site) -> None:
    run = await running(site, 1)
    await site.database.pool.execute(NEVER_OPENS, run)
    [wait] = [wait for wait in (await shown(site, run))["waits_for"] if wait["reason"] == "closed"]
    assert ("until" in wait, "never allow calls" in wait["detail"]) == (False, True)
    [hours] = await reasons(site, run)
    assert (hours["rule"], hours["verdict"], "until" in hours) == ("hours", "skip", False)


async def test_a_number_that_is_in_use_has_no_time(site: Site) -> None:
    run = await running(site, 1)
    await site.database.pool.execute(PASSED, run)
    await site.database.pool.execute(RETRY, run, 1, 1, "same_phone")
    [wait] = (await shown(site, run))["waits_for"]
    assert (wait["reason"], "until" in wait, "in use by another call" in wait["detail"]) == ("retry", False, True)
    [reason] = await reasons(site, run)
    assert (reason["rule"], "until" in reason) == ("number_in_use", False)


async def test_a_retry_that_is_due_while_its_zone_is_closed_waits_for_both(site: Site) -> None:
    run = await running(site, 1)
    await site.database.pool.execute(PASSED, run)
    await site.database.pool.execute(CLOSED, run)
    await site.database.pool.execute(RETRY, run, 1, 30, "retry")
    [wait] = (await shown(site, run))["waits_for"]
    assert (wait["reason"], in_minutes(wait["until"])) == ("retry", 9 * 60)


async def test_a_call_in_doubt_says_so(site: Site) -> None:
    run = await running(site, 1)
    [attempt], _ = await site.database.claim(site.business)
    assert await reasons(site, run) == []
    await site.database.record(attempt, AttemptState.UNKNOWN)
    [doubt] = await reasons(site, run)
    assert (doubt["rule"], doubt["verdict"], "has not confirmed this call yet" in doubt["detail"]) == ("unconfirmed_calls", "wait", True)
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in()
    job_id = await site.database.pool.fetchval("SELECT id FROM outbound_call_jobs WHERE run_id = $1", run)
    assert doubt["detail"] in text_of(await browser.get(f"/runs/{run}/jobs/{job_id}"))
    await site.database.record(attempt, AttemptState.PLACED, sid="CA1")
    assert await reasons(site, run) == []
    await site.database.pool.execute(MISSING)
    [missing] = await reasons(site, run)
    assert (missing["rule"], "closed as lost" in missing["detail"]) == ("unconfirmed_calls", True)
    await site.database.record(attempt, AttemptState.OVER, sid="CA1", outcome="completed")
    assert await reasons(site, run) == []


async def test_who_cancelled_a_lead(site: Site) -> None:
    run = await running(site, 3)
    jobs = [job["job_id"] for job in (await site.get(f"{RUNS}/{run}/jobs")).json["items"]]
    await site.post(f"{RUNS}/{run}/jobs/{jobs[0]}/cancel", {})
    await carried_out(site, await begun(site, run, "cancel", job_ids=[jobs[1]]))
    assert await reasons(site, run, position=3) == []
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in()
    await browser.post(f"/runs/{run}/end", {"how": "finish"})
    details = [(await reasons(site, run, position))[0] for position in (1, 2, 3)]
    assert {(reason["rule"], reason["verdict"]) for reason in details} == {("cancelled", "skip")}
    assert all(re.fullmatch(r"Cancelled by API token \d+\.", reason["detail"]) for reason in details[:2])
    assert details[2]["detail"] == f"Cancelled by {EMAIL} with the campaign."


async def test_a_retry_names_how_the_last_call_ended(site: Site) -> None:
    run = await running(site, 1)
    retries = {"retries": {"no-answer": {"times": 1, "after_minutes": [30]}}}
    await site.database.pool.execute("UPDATE outbound_call_runs SET settings = $1", retries)
    [attempt], _ = await site.database.claim(site.business)
    await site.database.record(attempt, AttemptState.OVER, outcome="no-answer")
    [retry] = await reasons(site, run)
    assert (retry["rule"], retry["detail"]) == ("retry", "The last call ended as: No answer. We call again at the time shown.")
    [hebrew] = await reasons(site, run, language="he")
    assert "אין מענה" in hebrew["detail"]


async def test_a_lead_is_told_what_keeps_its_whole_run(site: Site) -> None:
    run = await running(site, 4)
    await site.database.claim(site.business)
    [reason] = await reasons(site, run, position=4)
    assert (reason["rule"], reason["verdict"]) == ("lines_in_use", "wait")


async def test_a_lead_of_a_scheduled_run_is_told_when(site: Site) -> None:
    run = await site.load(1, start=False)
    at = "UPDATE outbound_call_runs SET schedule_at = dialer.utc() + interval '2 hours' WHERE id = $1"
    await site.database.pool.execute(at, run)
    [reason] = await reasons(site, run)
    assert (reason["rule"], in_minutes(reason["until"])) == ("pending", 120)
