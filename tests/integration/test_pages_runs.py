"""The pages of runs and leads: their content, who may see them, and their buttons without scripts."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

import pytest_asyncio

from dialer.messages import CommandType
from dialer.model import AttemptState, RunStatus
from sql.reports.reports import OutcomeCounts, Reports
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.web_site import PUBLIC
from web.operations.reports import result_counts

if TYPE_CHECKING:
    import pytest

    from tests.web_site import Response, Site


@pytest_asyncio.fixture
async def browser(site: Site) -> BrowserSession:
    """A signed-in operator."""
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    assert (await browser.sign_in()).status == 303
    return browser


def buttons(response: Response) -> list[str]:
    return re.findall(r'id="do-([a-z-]+)"', response.body.decode())


def count(response: Response, key: str) -> str:
    found = re.search(rf'id="count-{key}".*?<b>(.*?)</b>', response.body.decode(), re.DOTALL)
    assert found
    return found[1]


async def test_an_empty_list_says_how_to_start(browser: BrowserSession) -> None:
    page = await browser.get("/")
    assert "No campaigns yet" in text_of(page)
    assert 'href="/runs/new"' in page.body.decode()
    assert "An hour from 08:00 to 22:00 is shown once it has had 5 calls." in text_of(page)


async def test_runs_are_listed_filtered_and_paged(browser: BrowserSession, site: Site) -> None:
    runs = [await site.load(1, start=False, name=f"Run number {n}.") for n in range(27)]
    await site.database.command(site.business, CommandType.CANCEL, runs[0])
    page = await browser.get("/runs")
    assert "Run number 26." in text_of(page)
    assert "Run number 1." not in text_of(page)
    older = re.search(r'href="(/runs\?before=\d+)"', page.body.decode())
    assert older
    assert "Run number 1." in text_of(await browser.get(older[1]))
    cancelled = text_of(await browser.get("/runs?status=cancelled"))
    assert ("Run number 0." in cancelled, "Run number 1." in cancelled) == (True, False)
    assert "There are no campaigns with this status" in text_of(await browser.get("/runs?status=failed"))
    # An invalid filter is ignored.
    assert "Run number 26." in text_of(await browser.get("/runs?status=%27--&before=x"))


async def test_results_are_counted_once_for_all_who_look(browser: BrowserSession, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, outcomes = [], Reports.outcomes

    async def count_them(self: Reports, business_id: int, run_id: int) -> OutcomeCounts:
        counted.append(run_id)
        return await outcomes(self, business_id, run_id)

    monkeypatch.setattr(Reports, "outcomes", count_them)
    monkeypatch.setattr(result_counts, "SHARED_SECONDS", 60.0)
    run_id = await site.load(3)
    attempts, _ = await site.database.claim(site.business)
    pages = await asyncio.gather(*(browser.get(f"/runs/{run_id}/{part}") for part in ("results", "results", "leads", "results")))
    assert ([page.status for page in pages], counted) == ([200] * 4, [run_id])
    await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
    assert count(await browser.get(f"/runs/{run_id}/results"), "busy") == "1", "the run has changed"
    assert len(counted) == 2


async def test_names_are_text_and_never_markup(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(1, name="<script>alert(1)</script>")
    for path in ("/", f"/runs/{run_id}"):
        body = (await browser.get(path)).body
        assert b"<script>alert" not in body
        assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in body


async def test_another_business_has_no_pages(browser: BrowserSession, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    theirs = await site.rivals_run()
    job_id = await site.database.pool.fetchval("SELECT id FROM outbound_call_jobs WHERE run_id = $1 LIMIT 1", theirs)
    ours = await site.load(1)
    for path in (
        f"/runs/{theirs}",
        f"/runs/{theirs}/fragment",
        f"/runs/{theirs}/leads",
        f"/runs/{theirs}/jobs/{job_id}",
        f"/runs/{ours}/jobs/{job_id}",
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            response = await browser.get(path)
        missing = await browser.get(path.replace(str(theirs), "99999").replace(f"jobs/{job_id}", "jobs/99999"))
        assert (response.status, missing.status) == (404, 404)
        # Identical except for the address in the language form.
        assert response.body.replace(path.encode(), b"") == missing.body.replace(missing_path(missing, path), b"")
        assert any(record.getMessage().startswith("[SECURITY]") for record in caplog.records), path
    for action in ("start", "pause", "end", "call-back", "edit", "leads/again"):
        assert (await browser.post(f"/runs/{theirs}/{action}")).status == 404
    assert (await site.database.checked_run(site.rival, theirs)).status == RunStatus.RUNNING


def missing_path(missing: Response, path: str) -> bytes:
    found = re.search(rb'name="back" value="([^"]+)"', missing.body)
    return found[1] if found else path.encode()


async def test_the_buttons_follow_the_state(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(4, start=False)
    page = f"/runs/{run_id}"
    assert buttons(await browser.get(page)) == ["start", "end", "edit"]
    response = await browser.post(f"{page}/start")
    assert (response.status, response.headers["Location"]) == (303, page)
    # The fragments that an open page fetches leave the notice to the page; the page says it once.
    await browser.get(f"{page}/fragment")
    assert "The campaign has started." in text_of(await browser.get(page))
    assert "The campaign has started." not in text_of(await browser.get(page))
    assert buttons(await browser.get(page)) == ["pause", "end", "edit"]
    # A second click comes too late, and the page says so.
    await browser.post(f"{page}/start")
    assert "not possible in the campaign" in text_of(await browser.get(page))
    await browser.post(f"{page}/pause")
    assert buttons(await browser.get(page)) == ["resume", "end", "edit"]
    await browser.post(f"{page}/resume")
    assert "Nobody has been called yet." in text_of(await browser.get(f"{page}/leads"))
    await site.database.claim(site.business)
    assert "Now, and hang up" in text_of(await browser.get(f"{page}/end"))
    assert (await browser.post(f"{page}/end", {"how": "some day"})).status == 422
    await browser.post(f"{page}/end", {"how": "finish"})
    cancelling = await browser.get(page)
    assert buttons(cancelling) == ["edit"]
    assert "Ending" in text_of(cancelling)
    assert EMAIL in text_of(cancelling)
    await browser.post(f"{page}/end", {"how": "hang_up"})
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.attempts WHERE hang_up_at IS NOT NULL") == 3
    assert "The campaign is over." in text_of(await browser.get(page))


async def test_a_stop_after_the_end_changes_nothing_and_says_so(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(2)
    for _ in range(2):
        await browser.post(f"/runs/{run_id}/end", {"how": "now"})
    page = await browser.get(f"/runs/{run_id}")
    assert "was over already" in text_of(page)
    # Nobody was called, so it is not 100%.
    assert "Nobody has been called yet; 2 people are on the list." in text_of(page)
    assert 'data-title="0% ' in page.body.decode()
    assert b"data-events" not in page.body


async def test_the_counts_are_links_to_their_leads(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(60)
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.OVER, outcome="completed", answered_by="human")
    await site.database.record(attempts[1], AttemptState.OVER, outcome="busy")
    await site.database.record(attempts[2], AttemptState.RINGING, sid="CA" + "1" * 32)
    page = await browser.get(f"/runs/{run_id}")
    assert "2 of 60 called. 1 person answered (50%), 1 busy." in text_of(page)
    title = f"3% · Calling · Campaign {run_id} · Ringmaster"
    assert (f"<title>{title}</title>" in page.body.decode(), f'data-title="{title}"' in page.body.decode()) == (True, True)
    assert [count(page, key) for key in ("person", "busy", "line", "queued")] == ["1", "1", "1", "57"]
    leads = re.compile(r"<bdi>(Lead \d+)</bdi>")
    for key, query, shown in (
        ("person", "outcome=human,answered", "Lead 1"),
        ("busy", "outcome=busy", "Lead 2"),
        ("line", "show=line", "Lead 3"),
    ):
        assert f'id="count-{key}" href="/runs/{run_id}?{query}#leads"' in page.body.decode()
        assert leads.findall((await browser.get(f"/runs/{run_id}/leads?{query}")).body.decode()) == [shown]
    assert "No leads match" in text_of(await browser.get(f"/runs/{run_id}/leads?show=skipped"))
    # Those who have not been called are not among the first that a reader sees.
    assert leads.findall((await browser.get(f"/runs/{run_id}/leads")).body.decode()) == ["Lead 1", "Lead 2"]
    assert leads.findall((await browser.get(f"/runs/{run_id}/leads?show=all&search=0500000002")).body.decode()) == ["Lead 2"]
    assert "050-000-0003" in text_of(await browser.get(f"/runs/{run_id}/fragment"))
    # The file has the leads that are listed, and no others.
    for query, leads_in_it in (("outcome=busy", 1), ("show=called", 2), ("show=all&search=0500000002", 1), ("show=all", 60)):
        listed = (await browser.get(f"/runs/{run_id}/leads?{query}")).body.decode()
        address = re.search(r'id="export-matching" href="([^"]+)"', listed)
        assert address, query
        path = address[1].replace("&amp;", "&").replace("export.xlsx", "export.csv")
        assert len((await browser.get(path)).body.splitlines()) == 1 + leads_in_it, query


async def test_leads_are_paged_by_the_address(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(60)
    first = await browser.get(f"/runs/{run_id}?show=all")
    following = re.search(r'href="([^"]+)#leads"[^>]* rel="next"', first.body.decode())
    assert following
    second = await browser.get(following[1].replace("&amp;", "&"))
    assert "Lead 51" in text_of(second)
    back = re.search(r'href="([^"]+)#leads"[^>]* rel="prev"', second.body.decode())
    assert back
    assert "Lead 50" in text_of(await browser.get(back[1]))


async def test_those_who_did_not_answer_are_called_back(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(3, name="Renewals")
    attempts, _ = await site.database.claim(site.business)
    home = (await browser.get("/")).body.decode()
    assert (home.count('id="line-'), "Lead 1</bdi></a>" in home) == (3, True), "the overview has its calls in its row"
    for attempt, outcome in zip(attempts, ("completed", "busy", "no-answer"), strict=True):
        await site.database.record(attempt, AttemptState.OVER, outcome=outcome)
    home = text_of(await browser.get("/"))
    assert re.search(r"Ended today Renewals 3 of 3 called\. 1 person answered \(33%\), 1 no answer, 1 busy\.", home), home
    page = await browser.get(f"/runs/{run_id}")
    assert "Call back the 2 people who did not answer" in text_of(page)
    assert (await browser.post(f"/runs/{run_id}/call-back", {"when": "yesterday"})).status == 422
    response = await browser.post(f"/runs/{run_id}/call-back", {"when": "now"})
    page = await browser.get(response.headers["Location"])
    assert "Renewals, called again" in text_of(page)
    assert "The campaign has started." in text_of(page)


async def test_a_run_says_which_lines_it_uses_and_whether_it_waits(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(4, name="Spring", concurrency=2)
    [own], _ = await site.database.claim(site.business, permits=1)
    other = await site.load(4, name="Summer", priority=1)
    # The number of its first lead is in use by the call of Spring.
    taken = [attempt.run_id for _ in range(2) for attempt in (await site.database.claim(site.business))[0]]
    assert taken == [other] * 2
    shown = text_of(await browser.get(f"/runs/{run_id}"))
    assert "Spring Calling, 1 of 2 lines other campaigns use 2 lines" in shown
    assert shown.count("In use by another campaign") == 2
    waiting = await site.load(1, name="Autumn")
    assert "Waiting to call, 0 of 3 lines other campaigns use 3 lines" in text_of(await browser.get(f"/runs/{waiting}"))
    home = text_of(await browser.get("/"))
    assert re.search("2 campaigns calling Calling now Summer Calling .* Spring Calling .* Waiting Autumn Waiting to call", home), home
    await browser.post(f"/runs/{run_id}/end", {"how": "finish"})
    ending = text_of(await browser.get(f"/runs/{run_id}"))
    assert ("Ending, 1 of 2 lines" in ending, "another campaign" in ending, "Lead 1 " in ending) == (True, False, True)
    await site.database.record(own, AttemptState.OVER, outcome="refused")
    over = await browser.get(f"/runs/{run_id}")
    assert (count(over, "ours"), "1 failed on our side" in text_of(over)) == ("1", True)


async def test_many_leads_at_once_are_asked_for_and_then_begun(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(5)
    page = f"/runs/{run_id}"
    jobs = await site.database.pool.fetch("SELECT id FROM outbound_call_jobs WHERE run_id = $1 ORDER BY position", run_id)
    await browser.post(f"{page}/leads/cancel", {"scope": "selected"})
    assert "Select leads first" in text_of(await browser.get(page))
    selected = {f"job-{jobs[3]['id']}": "1", "scope": "selected", "show": "all"}
    assert "Leave out 1 person?" in text_of(await browser.post(f"{page}/leads/cancel", selected))
    question = text_of(await browser.post(f"{page}/leads/do-not-call", {"scope": "all", "show": "queued", "search": "050"}))
    whom = r"Never call 5 people again\? Lead 1 ?, Lead 2 ?, Lead 3 and 2 more Chosen by: Still to call · “050”"
    assert re.search(whom, question), question
    hebrew = BrowserSession(site, "he")
    await hebrew.sign_in()
    assert "להשמיט אדם אחד?" in text_of(await hebrew.post(f"{page}/leads/cancel", selected))
    response = await browser.post(f"{page}/leads/cancel", {**selected, "confirmed": "1"})
    assert "0 of 1 finished." in text_of(await browser.get(response.headers["Location"]))
    operations = await site.database.pool.fetch("SELECT type, jobs FROM dialer.operations WHERE business_id = $1", site.business)
    assert [tuple(row) for row in operations] == [("jobs.cancel", [jobs[3]["id"]])]


async def test_a_lead_s_page_has_the_timeline_of_its_call(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(1)
    [attempt], _ = await site.database.claim(site.business)
    await site.post_callback(attempt, "ringing", SequenceNumber="1")
    await site.post_callback(attempt, "completed", SequenceNumber="3", CallDuration="37", AnsweredBy="human")
    page = await browser.get(f"/runs/{run_id}/jobs/{attempt.job_id}")
    words = text_of(page)
    for response in (
        "Call 1",
        "Ringing",
        "Call ended",
        "The call was answered.",
        "our response: 204",
        "SequenceNumber",
        "A person answered",
    ):
        assert response in words
    assert '<dd><span class="ltr" title="+972500000001">050-000-0001</span></dd>' in page.body.decode()
    assert attempt.nonce not in page.body.decode()
    assert buttons(page) == []


async def test_one_lead_is_cancelled_on_its_page(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(4)
    attempts, _ = await site.database.claim(site.business)
    job_id = await site.database.pool.fetchval("SELECT id FROM outbound_call_jobs WHERE run_id = $1 AND status = 'queued'", run_id)
    queued = f"/runs/{run_id}/jobs/{job_id}"
    assert (await browser.post(f"{queued}/end", {"how": "leave_out"})).headers["Location"] == queued
    assert "This lead will not be called." in text_of(await browser.get(queued))
    on_the_line = f"/runs/{run_id}/jobs/{attempts[0].job_id}"
    assert (await browser.post(f"{on_the_line}/end", {"how": "leave_out"})).status == 303
    page = text_of(await browser.get(on_the_line))
    assert "This is not possible now." in page
    assert "Hang up…" in page
    assert "Hang up on Lead 1?" in text_of(await browser.get(f"{on_the_line}/end"))
    await browser.post(f"{on_the_line}/end", {"how": "hang_up"})
    assert "The call is being hung up." in text_of(await browser.get(on_the_line))


async def test_a_fragment_reloads_its_page_when_the_session_has_ended(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(1)
    browser.cookies.clear()
    response = await browser.get(f"/runs/{run_id}/fragment")
    assert (response.status, response.headers["HX-Refresh"], response.body) == (401, "true", b"")


async def test_errors_are_pages(browser: BrowserSession, site: Site) -> None:
    for path in ("/nothing", "/runs/0", "/runs/abc", "/runs/99999999999", "/static/../keys.py", "/static/nothing.css"):
        response = await browser.get(path)
        assert (response.status, response.headers["Content-Type"]) == (404, "text/html; charset=utf-8"), path
    run_id = await site.load(1, start=False)
    await site.database.pool.execute("ALTER TABLE dialer.audit_log RENAME TO lost")
    response = await browser.get(f"/runs/{run_id}")
    assert response.status == 500
    reference = re.search(r"reference: ([0-9a-f]{12})", text_of(response))
    assert reference
    assert b"audit_log" not in response.body


async def test_static_files_are_cached_by_content(browser: BrowserSession) -> None:
    page = (await browser.get("/login")).body.decode() + (await browser.get("/")).body.decode()
    addresses = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))
    assert {address.split("?")[0].rsplit(".", 1)[-1] for address in addresses} == {"css", "js", "svg"}
    for address in addresses:
        response = await browser.get(address)
        assert (response.status, "immutable" in response.headers["Cache-Control"]) == (200, True)
        # A vendored file has its version in its name.
        unversioned = await browser.get(address.split("?")[0])
        assert ("immutable" in unversioned.headers["Cache-Control"]) == ("/vendor/" in address)
    assert PUBLIC.startswith("https:")


async def test_a_first_visit_to_a_run_is_light(browser: BrowserSession, site: Site) -> None:
    """Everything a browser fetches: the page with fifty leads, its styles and scripts, two of three fonts; less than 60 kB, headers too."""
    run_id = await site.load(50)
    accepted = {"Accept-Encoding": "gzip"}
    page = await browser.get(f"/runs/{run_id}?show=all", **accepted)
    files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.body.decode()))
    answers = [page, *[await browser.get(address, **accepted) for address in files]]
    fonts = {f"/static/{name}" for answer in answers for name in re.findall(r'url\("([^"]+)"\)', answer.body.decode())}
    assert len(fonts) == 3
    answers += [await browser.get(address) for address in fonts if "accents" not in address]
    assert {answer.status for answer in answers} == {200}
    headers = sum(len(f"{name}: {value}\r\n") for answer in answers for name, value in answer.headers.items())
    assert headers + sum(int(answer.headers["Content-Length"]) for answer in answers) < 60_000


async def test_pages_and_their_files_are_sent_compressed(browser: BrowserSession) -> None:
    styles = re.search(r'href="(/static/app.css[^"]+)"', (await browser.get("/")).body.decode())
    assert styles
    for path in ("/", styles[1]):
        plain = await browser.get(path, **{"Accept-Encoding": "identity"})
        packed = await browser.get(path, **{"Accept-Encoding": "gzip"})
        assert (plain.headers.get("Content-Encoding"), packed.headers["Content-Encoding"]) == (None, "gzip"), path
        # aiohttp's client has unpacked it.
        assert packed.body == plain.body
        assert int(packed.headers.get("Content-Length", 0)) < len(plain.body) / 2
