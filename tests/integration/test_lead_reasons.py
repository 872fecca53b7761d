"""Why a lead is not called, as its page and the API tell it: what holds now, what is over, and what keeps its whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.integration.test_run_reports import PASSED, RETRY, in_minutes, running, shown
from tests.web_site import RUNS

if TYPE_CHECKING:
    from tests.web_site import Site

NEVER_OPENS = "UPDATE dialer.run_zones SET opens_at = 'infinity', closes_at = 'infinity' WHERE run_id = $1"
CLOSED = "UPDATE dialer.run_zones SET opens_at = now() + interval '9 hours', closes_at = now() + interval '10 hours' WHERE run_id = $1"
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


async def test_hours_that_never_open_promise_no_call(site: Site) -> None:
    run = await running(site, 1)
    await site.database.pool.execute(NEVER_OPENS, run)
    [wait] = [wait for wait in (await shown(site, run))["waits_for"] if wait["reason"] == "closed"]
    assert ("until" in wait, "no time at which" in wait["detail"]) == (False, True)
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
