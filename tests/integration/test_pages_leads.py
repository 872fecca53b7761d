"""The list of leads on the page of a run: sorted page by page, and exported by selection, without scripts; and what a call has cost."""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from typing import TYPE_CHECKING

from dialer.model import AttemptState
from telephony import simulator
from telephony.provider import CallRequest, PlacedCall
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.integration.test_pages_runs import browser  # noqa: F401 fixture
from tests.web_site import ACCOUNT, AUTH_TOKEN, RUNS, serving
from web.pages.run import run_leads
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site

NAMES = ["Noa", "dana", "Ada", None, "Ziv", "Ben", "Eli", "Gil"]
# How the calls to the first ones end: outcome, what answered, seconds.
ENDS = [
    ("completed", "human", 30),
    ("busy", None, None),
    ("completed", "machine_start", 9),
    ("completed", "human", 300),
    ("no-answer", None, None),
]
# The ids of the leads in the order of each column; of equal ones the first comes first, and what has no value comes last.
SORTED = {
    "name": [3, 6, 2, 7, 8, 1, 5, 4],
    "-name": [5, 1, 8, 7, 2, 6, 3, 4],
    "phone": [1, 2, 3, 4, 5, 6, 7, 8],
    "-phone": [8, 7, 6, 5, 4, 3, 2, 1],
    "outcome": [6, 1, 4, 3, 5, 2, 7, 8],
    "-outcome": [7, 8, 2, 5, 3, 1, 4, 6],
    "length": [3, 1, 4, 2, 5, 6, 7, 8],
    "-length": [4, 1, 3, 2, 5, 6, 7, 8],
    "calls": [1, 2, 3, 4, 5, 6, 7, 8],
    "-calls": [1, 2, 3, 4, 5, 6, 7, 8],
    "last": [1, 2, 3, 4, 5, 6, 7, 8],
    "-last": [6, 5, 4, 3, 2, 1, 7, 8],
}


async def called(site: Site) -> int:
    """A run of eight leads: five calls have ended, the sixth is on the line, two have not been made."""
    leads = [{"lead_id": n, "phone": f"+9725000000{n:02}", **({"name": name} if name else {})} for n, name in enumerate(NAMES, start=1)]
    run_id = int((await site.post(RUNS, {"leads": leads, "start": True})).json["run_id"])
    await site.database.pool.execute("UPDATE dialer.lanes SET max_calls = 1")
    for outcome, answered_by, seconds in ENDS:
        [attempt] = (await site.database.claim(site.business))[0]
        await site.database.record(attempt, AttemptState.OVER, outcome=outcome, answered_by=answered_by, duration=seconds)
    await site.database.claim(site.business)
    return run_id


def shown(page: Response) -> list[int]:
    """The ids of the leads on a page, by their numbers."""
    return [int(number) for number in re.findall(r'title="\+9725000000(\d\d)"', page.body.decode().split('id="leads-form"')[1])]


def link(page: Response, rel: str) -> str | None:
    found = re.search(rf'href="([^"]+)"[^>]*rel="{rel}"', page.body.decode())
    return unescape(found[1]).split("#")[0] if found else None


def headings(page: Response) -> Iterator[tuple[str, str | None, str]]:
    """The columns: their names, how the list is sorted by them, and where their links lead."""
    for heading in re.findall(r"<th scope=\"col\"[^>]*><a[^>]*>", page.body.decode()):
        name, order, href = (re.search(pattern, heading) for pattern in (r'id="sort-(\w+)"', r'aria-sort="(\w+)"', r'href="([^"#]+)'))
        assert name
        assert href
        yield name[1], order[1] if order else None, unescape(href[1])


async def test_leads_are_sorted_by_every_column_both_ways_and_paged(
    browser: BrowserSession,  # noqa: F811
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_leads, "PAGE_LEADS", 3)
    run_id = await called(site)
    assert set(SORTED) == run_leads.SORTS
    for sort, expected in SORTED.items():
        page = await browser.get(f"/runs/{run_id}?show=all&sort={sort}")
        pages = [shown(page)]
        while following := link(page, "next"):
            page = await browser.get(following)
            pages.append(shown(page))
        assert [number for numbers in pages for number in numbers] == expected, sort
        assert [len(numbers) for numbers in pages] == [3, 3, 2]
        for numbers in reversed(pages[:-1]):
            before = link(page, "prev")
            assert before
            page = await browser.get(before)
            assert shown(page) == numbers, sort
        assert link(page, "prev") is None


async def test_a_heading_sorts_then_the_other_way_round_then_not(browser: BrowserSession, site: Site) -> None:  # noqa: F811
    run_id = await called(site)
    for name, orders in (("name", ["ascending", "descending", None]), ("length", ["descending", "ascending", None])):
        page = await browser.get(f"/runs/{run_id}?show=all&search=050")
        for order in orders:
            [address] = [href for column, _, href in headings(page) if column == name]
            page = await browser.get(address)
            assert {column: sorted_now for column, sorted_now, _ in headings(page) if sorted_now} == ({name: order} if order else {})
            assert 'value="050"' in page.body.decode(), "the search stays"
    [address] = [href for column, _, href in headings(await browser.get(f"/runs/{run_id}?sort=nonsense")) if column == "phone"]
    page = await browser.get(address)
    assert "sort=phone" in str(re.findall(r'href="(/runs/\d+\?[^"]*show=all[^"]*)#leads"', page.body.decode())), "the chips keep the order"


async def test_leads_that_are_selected_or_match_are_exported(browser: BrowserSession, site: Site) -> None:  # noqa: F811
    run_id = await called(site)
    jobs = await site.database.pool.fetch("SELECT id FROM outbound_call_jobs WHERE run_id = $1 ORDER BY position", run_id)
    page, ticked = f"/runs/{run_id}/leads/export", {f"job-{jobs[n]['id']}": "1" for n in (0, 6)}

    async def exported(form: dict[str, str]) -> list[str]:
        answer = await browser.post(page, form)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="run-{run_id}.csv"'
        return [row[0] for row in csv.reader(io.StringIO(answer.body.decode("utf-8-sig")))][1:]

    assert await exported({**ticked, "scope": "selected", "show": "all"}) == ["1", "7"]
    assert await exported({**ticked, "scope": "all", "outcome": "human"}) == ["1", "4"]
    assert await exported({"scope": "all", "search": "Ziv"}) == ["5"]
    theirs = await site.rivals_run()
    [foreign] = await site.database.pool.fetch("SELECT id FROM outbound_call_jobs WHERE run_id = $1 LIMIT 1", theirs)
    assert await exported({f"job-{foreign['id']}": "1", "scope": "selected", "show": "all"}) == []
    assert (await browser.post(f"/runs/{theirs}/leads/export", {"scope": "all"})).status == 404
    nothing = await browser.post(page, {"scope": "selected", "search": "Ziv"})
    assert nothing.headers["Location"] == f"/runs/{run_id}?show=all&search=Ziv#leads"
    assert "Select leads first" in text_of(await browser.get(f"/runs/{run_id}"))


async def test_who_hung_up_is_told_where_it_was_one_of_us(browser: BrowserSession, site: Site) -> None:  # noqa: F811
    run_id = await site.load(2)
    ours, theirs = (await site.database.claim(site.business))[0]
    for attempt in (ours, theirs):
        await site.database.record(attempt, AttemptState.LIVE, sid=f"CA{attempt.attempt_id}")
    await browser.post(f"/runs/{run_id}/jobs/{ours.job_id}/end", {"how": "hang_up"})
    for attempt in (ours, theirs):
        await site.database.record(attempt, AttemptState.OVER, outcome="completed", answered_by="human", duration=5)
    words = text_of(await browser.get(f"/runs/{run_id}/jobs/{ours.job_id}"))
    assert f"talked 5 s, then {EMAIL} hung up." in words
    assert f"Hang-up requested · {EMAIL}" in words
    words = text_of(await browser.get(f"/runs/{run_id}/jobs/{theirs.job_id}"))
    assert "talked 5 s." in words
    assert "hung up" not in words
    # A call that nobody asked to end: one too many, or one of a run that was cancelled while it was placed.
    await site.database.pool.execute("UPDATE dialer.attempts SET hang_up_at = ended_at WHERE id = $1", theirs.attempt_id)
    assert "then we hung up." in text_of(await browser.get(f"/runs/{run_id}/jobs/{theirs.job_id}"))


async def test_the_provider_is_asked_what_a_call_has_cost(database_url: str, redis_url: str, database: DatabaseFixture) -> None:
    async with (
        simulator.running(port=0, accounts={ACCOUNT: AUTH_TOKEN}, scenario="answer") as twilio,
        serving(database_url, redis_url, database, TWILIO_API_URL=twilio.url) as site,
    ):
        await site.user(EMAIL, PASSWORD)
        session = BrowserSession(site)
        await session.sign_in()
        run_id = await site.load(1)
        [attempt], _ = await database.claim(site.business)
        page = f"/runs/{run_id}/jobs/{attempt.job_id}"
        assert "what the call cost" not in text_of(await session.get(page))
        # Placed by hand: no worker is here, and the simulator's call is over when it is told so.
        app = site.client.server.app  # type: ignore[attr-defined]
        wanted = CallRequest(attempt.phone, "+972501110000", f"{twilio.url}/none", f"{twilio.url}/none", 30, 600)
        placed = await app[keys.PROVIDER].place(app[keys.ACCOUNTS].default, wanted, deadline=app[keys.CLOCK].boot() + 10)
        assert isinstance(placed, PlacedCall)
        await database.record(attempt, AttemptState.OVER, sid=placed.sid, outcome="completed", answered_by="human", duration=61)
        assert "Ask Twilio what the call cost" in text_of(await session.get(page))
        assert (await session.post(f"{page}/price")).headers["Location"] == page
        assert "does not know the price yet" in text_of(await session.get(page))
        call = twilio.call_log.calls[placed.sid]
        call.ended_at, call.duration_seconds = app[keys.CLOCK].now(), 61
        await session.post(f"{page}/price")
        words = text_of(await session.get(page))
        assert ("Price $0.028" in words, "what the call cost" in words) == (True, False)
        [seen] = (await site.get(f"/api/outbound/runs/{run_id}/jobs/{attempt.job_id}")).json["attempts"]
        assert (seen["price"], seen["cost"]) == ({"amount": "0.028", "currency": "USD"}, None)


def legend(page: Response) -> dict[str, tuple[str, int]]:
    """The parts of the results: where each leads, and its number."""
    parts = re.findall(r'<a id="count-([\w-]+)" href="([^"#]+)#leads">.*? <b>(\d+)</b>', page.body.decode())
    return {key: (unescape(href), int(number)) for key, href, number in parts}


async def test_the_results_count_each_lead_once_and_lead_to_those_they_count(browser: BrowserSession, site: Site) -> None:  # noqa: F811
    """Whether it waits for another call or has one, was cancelled before a call, during one or after one."""
    leads = [{"lead_id": n, "phone": f"+9725000000{n:02}"} for n in range(1, 11)]
    retries = {"busy": {"times": 2, "after_minutes": [30]}}
    run_id = int((await site.post(RUNS, {"leads": leads, "start": True, "retries": retries})).json["run_id"])
    jobs = [job["job_id"] for job in (await site.get(f"{RUNS}/{run_id}/jobs")).json["items"]]
    for attempt, outcome in zip((await site.database.claim(site.business))[0], ("busy", "busy", "busy"), strict=True):
        await site.database.record(attempt, AttemptState.OVER, outcome=outcome)
    for attempt, outcome in zip((await site.database.claim(site.business))[0], ("completed", "canceled", "no-answer"), strict=True):
        await site.database.record(attempt, AttemptState.OVER, outcome=outcome)
    await site.database.pool.execute("UPDATE dialer.retries SET due_at = now() WHERE job_id = $1", jobs[0])
    assert {attempt.job_id for attempt in (await site.database.claim(site.business, permits=2))[0]} == {jobs[0], jobs[6]}
    for cancelled in (jobs[1], jobs[7]):
        assert (await site.post(f"{RUNS}/{run_id}/jobs/{cancelled}/cancel", {})).json["status"] == "cancelled"
    found = legend(await browser.get(f"/runs/{run_id}"))
    assert {key: number for key, (_, number) in found.items()} == {
        "person": 1, "no-answer": 1, "busy": 3, "hung-up": 1, "line": 1, "queued": 2, "cancelled": 1,
    }  # fmt: skip
    listed = {key: sorted(shown(await browser.get(href))) for key, (href, _) in found.items()}
    assert listed == {"person": [4], "no-answer": [6], "busy": [1, 2, 3], "hung-up": [5], "line": [7], "queued": [9, 10], "cancelled": [8]}
    page = await browser.get(f"/runs/{run_id}?show=called")
    assert (shown(page), "6 of 10 called." in text_of(page)) == ([1, 2, 3, 4, 5, 6], True)
    assert re.search(r'aria-current="true">Called <b>6</b>', page.body.decode())
    assert shown(await browser.get(f"/runs/{run_id}?show=again")) == [3]
    await ask_the_api_for_those_called(site, run_id)


async def ask_the_api_for_those_called(site: Site, run_id: int) -> None:
    """The list and an operation on many take the same words."""
    for words, expected in (("outcome=called", 6), ("outcome=none", 4), ("outcome=none&status=cancelled", 1), ("outcome=busy,none", 7)):
        assert len((await site.get(f"{RUNS}/{run_id}/jobs?{words}")).json["items"]) == expected, words
    assert (await site.get(f"{RUNS}/{run_id}/jobs?outcome=ringing")).status == 422
    for outcome, total in (("called", 6), ("none", 4)):
        answer = await site.post(f"{RUNS}/{run_id}/jobs/do-not-call", {"outcome": outcome})
        assert (await site.get(f"/api/operations/{answer.json['operation_id']}")).json["total"] == total


async def test_the_overview_says_once_that_nobody_is_called(browser: BrowserSession, site: Site) -> None:  # noqa: F811
    for _ in range(2):
        await site.load(2)
    await site.database.pool.execute("UPDATE outbound_call_runs SET started_at = started_at - interval '1 minute'")
    home = await browser.get("/")
    assert ("alarm-no_worker" in home.body.decode(), text_of(home).count("The calling service is not running")) == (True, 1)
