"""A refused account, a failed call and a lead without hours read as such in both languages: over HTTP, on the run's page, on the lead's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.dispatch.run_pauser import pause_reason
from dialer.model import AttemptReason, AttemptState
from telephony.provider import RefusedCall
from telephony.simulator import Faults
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.integration.test_worker import Floor, floor, twilio, until  # noqa: F401 fixtures
from tests.web_site import RUNS, serving

if TYPE_CHECKING:
    from telephony.simulator import Simulator
    from tests.web_site import Site

# Words of the sentence, in English and in Hebrew.
REFUSALS = {
    21210: ("The caller id is not verified", "אינו מאומת"),
    20003: ("credentials of the Twilio account are wrong", "פרטי הגישה לחשבון"),
    10001: ("account is not active", "אינו פעיל"),
    21215: ("geographic permissions", "ההרשאות הגאוגרפיות"),
    29999: ("Nothing that we know of", "Nothing that we know of"),
}
# The code and the reason that are stored of a call, and words of its explanation.
FAILURES = [
    (None, "SIP 404", ("The number does not exist", "המספר אינו קיים")),
    (13224, "SIP 503", ("Twilio cannot call it", "אינה יכולה לחייג")),
    (77777, None, ("an unknown reason", "שאיננו מכירים")),
]
ZONES = {
    "US:": ("time zone of this person is not known", "אינו ידוע"),
    "US:America/Adak,America/New_York": ("several time zones", "באזורי זמן שונים"),
    "US:America/New_York": ("hours never allow", "אין אף מועד"),
}
NEVER_OPENS = "UPDATE dialer.run_zones SET opens_at = 'infinity', closes_at = 'infinity', zone = $2 WHERE run_id = $1"


async def told(site: Site, path: str) -> tuple[Any, Any]:
    """What a program is told in English and in Hebrew."""
    return (await site.get(path)).json, (await site.get(path, headers={"Accept-Language": "he"})).json


async def person(site: Site) -> BrowserSession:
    """Somebody who has signed in."""
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in()
    return browser


async def shown(browser: BrowserSession, path: str) -> tuple[str, str]:
    """What a person is shown in English and in Hebrew."""
    pages = []
    for browser.language in ("en", "he"):
        pages.append(text_of(await browser.get(path)))
    return pages[0], pages[1]


async def first_job(site: Site, run: int) -> str:
    [job, *_] = (await site.get(f"{RUNS}/{run}/jobs")).json["items"]
    return str(job["job_id"])


async def check_pause(site: Site, browser: BrowserSession, run: int, code: int) -> None:
    """The run, its page, a lead and its page all tell why it is paused."""
    job = await first_job(site, run)
    runs = await told(site, f"{RUNS}/{run}")
    leads = await told(site, f"{RUNS}/{run}/jobs/{job}")
    run_pages, lead_pages = await shown(browser, f"/runs/{run}"), await shown(browser, f"/runs/{run}/jobs/{job}")
    for n, words in enumerate(REFUSALS[code]):
        [wait] = runs[n]["waits_for"]
        [why] = leads[n]["why"]
        for sentence in (runs[n]["last_error"], wait["detail"], why["detail"], run_pages[n], lead_pages[n]):
            assert words in sentence
            assert str(code) in sentence
        assert (wait["reason"], why["rule"], leads[n]["error"]) == ("paused", "paused", None)
    assert "No lead was lost" in runs[0]["last_error"]
    assert "resume the campaign" in runs[0]["last_error"]
    assert "Twilio refuses" not in runs[1]["last_error"] + run_pages[1] + lead_pages[1]


async def test_a_refused_account_is_told_wherever_its_run_is_shown(site: Site) -> None:
    run, browser = await site.load(2), await person(site)
    for code in REFUSALS:
        reason = pause_reason(RefusedCall(code, "Nothing that we know of", 400), 1, 0)
        await site.database.workers.pause(site.business, run, reason.text, reason.cause)
        await check_pause(site, browser, run, code)
        [stored] = await site.database.pool.fetch("SELECT last_error, last_error_cause FROM outbound_call_runs WHERE id = $1", run)
        assert stored["last_error"] == f"The provider refuses this account or its number: Nothing that we know of ({code})"
        assert stored["last_error_cause"] == {"kind": "account_refused", "code": code, "message": "Nothing that we know of"}
        resumed = (await site.post(f"{RUNS}/{run}/resume", {})).json
        assert (resumed["last_error"], resumed["last_error_cause"]) == (None, None)


async def test_a_worker_whose_account_is_refused_says_so(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    database_url: str,
    redis_url: str,
) -> None:
    twilio.set_faults(Faults(refuse_before=1, refuse_status=401, refuse_code=20003))
    async with serving(database_url, redis_url, floor.database) as site:
        run, browser = await site.load(3), await person(site)

        async def is_paused() -> bool:
            return bool((await site.get(f"{RUNS}/{run}")).json["status"] == "paused")

        async with floor.worker(twilio.url):
            await until(is_paused)
        await site.database.pool.execute("UPDATE dialer.retries SET due_at = now()")
        await check_pause(site, browser, run, 20003)


async def test_a_call_that_fails_by_the_accounts_fault_pauses_in_both_languages(site: Site) -> None:
    """The provider took the call, and told its code at the end."""
    run = await site.load(2)
    [attempt], _ = await site.database.claim(site.business, permits=1)
    await site.database.record(attempt, AttemptState.PLACED, sid="CA1")
    await site.database.record(attempt, AttemptState.OVER, sid="CA1", outcome="failed", error_code=21210)
    english, hebrew = await told(site, f"{RUNS}/{run}")
    assert english["last_error_cause"] == {"kind": "account_refused", "code": 21210}
    assert ("not verified" in english["last_error"], "אינו מאומת" in hebrew["last_error"]) == (True, True)
    assert (await site.get(RUNS)).json["items"][0]["last_error"] == english["last_error"]


async def test_a_budget_that_is_used_up_is_told_in_both_languages(site: Site) -> None:
    run = await site.load(3)
    await site.database.pool.execute("""UPDATE outbound_call_runs SET settings = '{"budget": {"calls": 2}}' WHERE id = $1""", run)
    await site.database.claim(site.business)
    english, hebrew = await told(site, f"{RUNS}/{run}")
    assert english["last_error"].startswith("The budget of 2 calls is used up")
    assert english["last_error_cause"] == {"kind": "budget", "calls": 2}
    assert "התקציב של 2 שיחות" in hebrew["last_error"]


async def test_a_failed_call_is_explained(site: Site) -> None:
    run, browser = await site.load(len(FAILURES)), await person(site)
    attempts, _ = await site.database.claim(site.business)
    for attempt, (error_code, reason, _) in zip(attempts, FAILURES, strict=True):
        await site.database.record(attempt, AttemptState.OVER, outcome="failed", error_code=error_code, reason=reason)
    lists = await told(site, f"{RUNS}/{run}/jobs")
    for place, (error_code, reason, words) in enumerate(FAILURES):
        job = lists[0]["items"][place]["job_id"]
        details, pages = await told(site, f"{RUNS}/{run}/jobs/{job}"), await shown(browser, f"/runs/{run}/jobs/{job}")
        for n, part in enumerate(words):
            [call] = details[n]["attempts"]
            assert {lists[n]["items"][place]["error"], details[n]["error"]} == {call["explanation"]}
            assert (call["error_code"], call["reason"], part in call["explanation"]) == (error_code, reason, True)
            assert pages[n].count(part) == 2, "as the error of the lead, and as the reason of the call"
    export = (await site.get(f"{RUNS}/{run}/export.csv")).body.decode()
    assert ("SIP 404" in export, "does not exist" in export) == (True, False)


async def test_a_call_that_was_not_sent_is_explained_and_is_no_error_of_its_lead(site: Site) -> None:
    run = await site.load(1)
    [attempt], _ = await site.database.claim(site.business)
    await site.database.record(attempt, AttemptState.NOT_SENT, reason=AttemptReason.WITHDRAWN)
    english, hebrew = await told(site, f"{RUNS}/{run}/jobs/{await first_job(site, run)}")
    assert (english["error"], english["attempts"][0]["reason"]) == (None, "withdrawn")
    assert english["attempts"][0]["explanation"].startswith("The call was taken back")
    assert hebrew["attempts"][0]["explanation"].startswith("השיחה בוטלה")


async def test_a_lead_without_hours_is_told_why(site: Site) -> None:
    """The zone of its number is not known, or it has too many, or the hours never open there: while it waits, and when it was skipped."""
    for zone, words in ZONES.items():
        run = await site.load(1)
        job = await first_job(site, run)
        await site.database.pool.execute(NEVER_OPENS, run, zone)
        waiting = await told(site, f"{RUNS}/{run}/jobs/{job}")
        await site.database.claim(site.business)
        skipped = await told(site, f"{RUNS}/{run}/jobs/{job}")
        assert (skipped[0]["status"], skipped[0]["reason"]) == ("skipped", "hours_never_open")
        for n, part in enumerate(words):
            assert [part in reason["detail"] for reason in (*waiting[n]["why"], *skipped[n]["why"])] == [True, True]
