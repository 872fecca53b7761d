"""The pages of runs and leads: their content, who may see them, and their buttons without scripts."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest_asyncio

from dialer.messages import CommandType
from dialer.model import AttemptState, RunStatus
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.web_site import PUBLIC

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
    found = re.search(rf'id="count-{key}".*?<b>(.*?)</b>', response.body.decode())
    assert found
    return found[1]


async def test_an_empty_list_says_how_to_start(browser: BrowserSession) -> None:
    page = await browser.get("/")
    assert "No campaigns yet" in text_of(page)
    assert 'href="/runs/new"' in page.body.decode()


async def test_runs_are_listed_filtered_and_paged(browser: BrowserSession, site: Site) -> None:
    runs = [await site.load(1, start=False, name=f"Run number {n}.") for n in range(27)]
    await site.database.command(site.business, CommandType.CANCEL, runs[0])
    page = await browser.get("/")
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
    for action in ("start", "cancel", "stop"):
        assert (await browser.post(f"/runs/{theirs}/{action}")).status == 404
    assert (await site.database.checked_run(site.rival, theirs)).status == RunStatus.RUNNING


def missing_path(missing: Response, path: str) -> bytes:
    found = re.search(rb'name="back" value="([^"]+)"', missing.body)
    return found[1] if found else path.encode()


async def test_the_buttons_follow_the_state(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(4, start=False)
    page = f"/runs/{run_id}"
    assert buttons(await browser.get(page)) == ["start", "cancel"]
    response = await browser.post(f"{page}/start")
    assert (response.status, response.headers["Location"]) == (303, f"{page}?done=start")
    assert "The campaign has started." in text_of(await browser.get(f"{page}?done=start"))
    assert buttons(await browser.get(page)) == ["pause", "cancel", "stop"]
    # A second click comes too late, and the page says so.
    response = await browser.post(f"{page}/start")
    assert response.headers["Location"] == f"{page}?refused=1"
    assert "not possible in the campaign" in text_of(await browser.get(f"{page}?refused=1"))
    await browser.post(f"{page}/pause")
    assert buttons(await browser.get(page)) == ["resume", "cancel", "stop"]
    await browser.post(f"{page}/resume")
    await site.database.claim(site.business)
    assert "Also hang up" in text_of(await browser.get(f"{page}/cancel"))
    await browser.post(f"{page}/cancel", {"hang_up": "1"})
    cancelling = await browser.get(page)
    assert buttons(cancelling) == []
    assert "Cancelling" in text_of(cancelling)
    assert EMAIL in text_of(cancelling)
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.attempts WHERE hang_up_at IS NOT NULL") == 3
    assert (await browser.post(f"{page}/cancel")).headers["Location"] == f"{page}?done=cancel"


async def test_a_stop_after_the_end_changes_nothing_and_says_so(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(2)
    await browser.post(f"/runs/{run_id}/stop")
    response = await browser.post(f"/runs/{run_id}/stop")
    assert response.headers["Location"] == f"/runs/{run_id}?done=ended"
    page = await browser.get(f"/runs/{run_id}")
    assert "100%" in text_of(page)
    assert b"data-events" not in page.body


async def test_the_counts_are_links_to_their_leads(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(60)
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.OVER, outcome="completed", answered_by="human")
    await site.database.record(attempts[1], AttemptState.OVER, outcome="busy")
    await site.database.record(attempts[2], AttemptState.RINGING, sid="CA" + "1" * 32)
    page = await browser.get(f"/runs/{run_id}")
    assert [count(page, key) for key in ("completed", "failed", "in_progress", "queued")] == ["1", "1", "1", "57"]
    for key, shown in (("completed", ["Lead 1"]), ("failed", ["Lead 2"]), ("in_progress", ["Lead 3"]), ("skipped", [])):
        assert f'href="/runs/{run_id}?status={key}#leads"' in page.body.decode()
        found = await browser.get(f"/runs/{run_id}/leads?status={key}")
        assert re.findall(r"<bdi>(Lead \d+)</bdi>", found.body.decode()) == shown
    assert "No leads match" in text_of(await browser.get(f"/runs/{run_id}/leads?status=skipped"))
    busy = await browser.get(f"/runs/{run_id}/leads?outcome=busy")
    assert re.findall(r"<bdi>(Lead \d+)</bdi>", busy.body.decode()) == ["Lead 2"]
    assert "+972 50-000-0003" in text_of(await browser.get(f"/runs/{run_id}/fragment"))


async def test_leads_are_paged_by_the_address(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(60)
    first = await browser.get(f"/runs/{run_id}")
    following = re.search(rf'href="(/runs/{run_id}\?after=\d+)"', first.body.decode())
    assert following
    second = await browser.get(following[1])
    assert "Lead 51" in text_of(second)
    assert f'<a class="button slim" href="/runs/{run_id}"' in second.body.decode()


async def test_a_lead_s_page_has_the_timeline_of_its_call(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(1)
    [attempt], _ = await site.database.claim(site.business)
    await site.post_callback(attempt, "ringing", SequenceNumber="1")
    await site.post_callback(attempt, "completed", SequenceNumber="3", CallDuration="37", AnsweredBy="human")
    page = await browser.get(f"/runs/{run_id}/jobs/{attempt.job_id}")
    words = text_of(page)
    for response in ("Call 1", "Ringing", "Call ended", "37 seconds", "our response: 204", "SequenceNumber", "A person answered"):
        assert response in words
    assert attempt.nonce not in page.body.decode()
    assert buttons(page) == []


async def test_one_lead_is_cancelled_on_its_page(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(4)
    attempts, _ = await site.database.claim(site.business)
    job_id = await site.database.pool.fetchval("SELECT id FROM outbound_call_jobs WHERE run_id = $1 AND status = 'queued'", run_id)
    response = await browser.post(f"/runs/{run_id}/jobs/{job_id}/cancel")
    assert response.headers["Location"].endswith("?done=cancelled")
    on_the_line = f"/runs/{run_id}/jobs/{attempts[0].job_id}"
    assert (await browser.post(f"{on_the_line}/cancel")).headers["Location"].endswith("?refused=1")
    assert "Hang up this call" in text_of(await browser.get(on_the_line))
    assert (await browser.post(f"{on_the_line}/cancel", {"hang_up": "1"})).headers["Location"].endswith("?done=hung_up")


async def test_a_fragment_reloads_its_page_when_the_session_has_ended(browser: BrowserSession, site: Site) -> None:
    run_id = await site.load(1)
    browser.cookies.clear()
    response = await browser.get(f"/runs/{run_id}/fragment")
    assert (response.status, response.headers["HX-Refresh"], response.body) == (401, "true", b"")


async def test_errors_are_pages(browser: BrowserSession, site: Site) -> None:
    for path in ("/nothing", "/runs/0", "/runs/abc", "/runs/99999999999", "/static/../keys.py", "/static/nothing.css"):
        response = await browser.get(path)
        assert (response.status, response.headers["Content-Type"]) == (404, "text/html; charset=utf-8"), path
    await site.database.pool.execute("ALTER TABLE dialer.audit_log RENAME TO lost")
    response = await browser.get(f"/runs/{await site.load(1, start=False)}")
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
        assert "immutable" not in (await browser.get(address.split("?")[0])).headers["Cache-Control"]
    assert PUBLIC.startswith("https:")
