"""An open run page stays up to date: without reloading, through lost connections, to the end."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import expect

from dialer.messages import Event
from dialer.model import AttemptState
from tests.browser.conftest import PATIENCE_MILLISECONDS, open_window
from tests.browser.test_one_stream import shows_the_rows
from tests.browser_session import PASSWORD
from tests.web_site import RUNS
from web.app import create_app
from web.server import keys

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

    from tests.browser.conftest import BrowserUser
    from tests.web_site import Site

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MILLISECONDS)
LIVE = re.compile(r"Live since \d\d:\d\d:\d\d")


# A browser without a desktop shows no notification: this one keeps what it is told to show.
NOTIFICATIONS = """
window.told = [];
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (Notification.permission = "granted"); }
  constructor(title, { body }) { told.push(`${title}: ${body}`); }
  addEventListener() {}
};
"""


async def publish_progress(site: Site, kind: str, run_id: int) -> None:
    """Publish what a worker publishes, best effort, when the state of a call changes."""
    app = site.client.server.app  # type: ignore[attr-defined]
    assert await app[keys.STREAMS].publish([Event(kind, site.business, run_id, at=app[keys.CLOCK].now())])


async def mark(page: Page) -> None:
    """Set a mark in the window that a reload would lose."""
    await page.evaluate("window.untouched = true")


async def untouched(page: Page) -> bool:
    return bool(await page.evaluate("window.untouched === true"))


async def test_counts_and_calls_follow_the_run_to_its_end(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(3, start=False)
    page = user.page
    await page.add_init_script(NOTIFICATIONS)
    await user.open(f"/runs/{run_id}")
    await expect(page.locator(".live-text")).to_have_text(LIVE)
    await expect(page.locator("#count-queued b")).to_have_text("3")
    await expect(page.locator("h1 + .status")).to_have_text("Not started")
    await mark(page)
    assert (await site.post(f"{RUNS}/{run_id}/start")).status == 200
    await expect(page.locator("h1 + .status")).to_have_text("Calling, 0 of 3 lines")
    notify = page.get_by_role("button", name="Notify me at the end")
    await expect(notify).to_have_attribute("aria-pressed", "false")
    await notify.click()
    await expect(notify).to_have_attribute("aria-pressed", "true")
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.RINGING, sid="CA" + "1" * 32)
    await publish_progress(site, "call.progress", run_id)
    await expect(page.locator("[id^=call-]")).to_have_count(3)
    await expect(page.locator(f"#call-{attempts[0].job_id}")).to_contain_text("Ringing")
    await expect(page.locator("#count-line b")).to_have_text("3")
    for attempt, outcome in zip(attempts, ("completed", "busy", "no-answer"), strict=True):
        await site.database.record(attempt, AttemptState.OVER, outcome=outcome)
    # We publish nothing now: the outbox relays the end of each call.
    await expect(page.locator("#sentence")).to_have_text("3 of 3 called. 1 person answered (33%), 1 no answer, 1 busy.")
    await expect(page).to_have_title(re.compile("^100% · Completed"))
    await expect(page.locator("h1 + .status")).to_have_text("Completed")
    await expect(page.locator(".run-bar .live-text")).to_have_text("Finished: no more changes")
    await expect(page.locator("#leads tbody tr").nth(1)).to_contain_text("Busy")
    await expect(page.locator("#do-end")).to_have_count(0)
    await page.wait_for_function("told.length > 0")
    assert await page.evaluate("told") == [f"Campaign {run_id}: 3 of 3 called. 1 person answered (33%), 1 no answer, 1 busy."]
    assert await untouched(page)
    await page.emulate_media(media="print")
    for hidden in ("header.top", "#export", "[data-print]", ".search"):
        await expect(page.locator(hidden).first).to_be_hidden()
    await expect(page.locator("#leads tbody tr").nth(2)).to_be_visible()


async def test_what_one_user_does_the_other_sees_and_both_pages_equal_the_rows(user: BrowserUser, site: Site, browser: Browser) -> None:
    await site.user("noa@example.com", PASSWORD)
    context, second = await open_window(site, browser, "noa@example.com", locale="he-IL")
    run_id = await site.load(5)
    pages = (user.page, second.page)
    for one in (user, second):
        await one.open(f"/runs/{run_id}")
        await expect(one.page.locator(".live[data-state=live]")).to_be_visible()

    async def both_show(status: str) -> None:
        for page in pages:
            await expect(page.locator(f"h1 + .status.tone-{status}")).to_be_visible()
            await shows_the_rows(page, site, run_id)

    await user.page.locator("#do-pause").click()
    await both_show("paused")
    await second.page.locator("#do-resume").click()
    await both_show("running")
    attempts, _ = await site.database.claim(site.business)
    for attempt, outcome in zip(attempts, ("completed", "busy", "no-answer"), strict=True):
        await site.database.record(attempt, AttemptState.OVER, outcome=outcome)
    await both_show("running")
    await user.page.locator("#do-end").click()
    await user.page.locator("dialog .danger-action").click()
    await both_show("cancelled")
    await second.page.locator("#call-back button").click()
    await expect(second.page.locator("#count-queued b")).to_have_text("2")
    again = int(second.page.url.rsplit("/", 1)[1])
    await shows_the_rows(second.page, site, again)
    await shows_the_rows(user.page, site, run_id)
    await context.close()
    assert second.console_errors == []


async def test_a_form_is_sent_while_the_browser_says_that_it_is_offline_but_the_server_answers(user: BrowserUser, site: Site) -> None:
    """As on a machine without a network, on which Ringmaster itself runs."""
    run_id = await site.load(3)
    await user.page.add_init_script("Object.defineProperty(navigator, 'onLine', { get: () => false })")
    await user.open(f"/runs/{run_id}")
    await user.page.locator("#do-pause").click()
    await expect(user.page.locator("#do-resume")).to_be_visible()


async def test_a_lost_connection_is_shown_and_recovers(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(3)
    page = user.page
    await user.open(f"/runs/{run_id}?show=all")
    await expect(page.locator(".live-text")).to_have_text(LIVE)
    await mark(page)
    chosen = page.locator("#leads tbody input").nth(1)
    await chosen.check()
    await page.locator("#search").fill("Lead 2")
    server = site.client.server
    settings = server.app[keys.SETTINGS]  # type: ignore[attr-defined]
    port = server.port
    await server.close()
    await expect(page.locator(".live-text")).to_have_text(re.compile("Reconnecting since"))
    await expect(page.locator("#sentence")).to_be_visible()
    # What is pressed meanwhile is not sent, the page says so, and nothing that was typed or chosen is lost.
    for press in ("#do-pause", "#do-end"):
        await page.locator(press).click()
        await expect(page.locator("#notice.note-bad")).to_contain_text("Not sent")
        await page.locator("#notice").evaluate("notice => notice.remove()")
    await expect(chosen).to_be_checked()
    await expect(page.locator("#search")).to_have_value("Lead 2")
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
    async with TestServer(create_app(settings), port=port):
        await expect(page.locator(".live-text")).to_have_text(LIVE)
        await shows_the_rows(page, site, run_id)
        await expect(page.locator("[id^=call-]")).to_have_count(2)
        assert await untouched(page)
        await expect(chosen).to_be_checked()
        await page.locator("#do-pause").click()
        await expect(page.locator("h1 + .status")).to_have_text("Paused, 2 of 3 lines")
        await page.close()


async def test_what_happened_can_be_put_on_hold(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(3)
    page = user.page
    await user.open(f"/runs/{run_id}")
    await expect(page.locator(".live-text")).to_have_text(LIVE)
    hold = page.get_by_role("button", name="Hold")
    await hold.click()
    await site.post(f"/api/outbound/runs/{run_id}/pause")
    await expect(page.locator("h1 + .status")).to_have_text("Paused")
    before = await page.locator("#feed li").count()
    await hold.click()
    await expect(page.locator("#feed li")).to_have_count(before + 1)
    await expect(page.locator(".live-text")).to_have_text(LIVE)


async def test_what_is_on_its_way_does_not_break_a_hold(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(3)
    page = user.page
    asked, held = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        response = await route.fetch()
        if "pause" in (await response.text()).lower():
            asked.set()
            await held.wait()
        await route.fulfill(response=response)

    # Before the page opens: a fetch of its beginning that is slow has the pause too.
    await page.route("**/feed", late)
    await user.open(f"/runs/{run_id}")
    await expect(page.locator(".live-text")).to_have_text(LIVE)
    before = await page.locator("#feed li").count()
    await site.post(f"/api/outbound/runs/{run_id}/pause")
    async with asyncio.timeout(PATIENCE_MILLISECONDS / 1000):
        await asked.wait()
    hold = page.get_by_role("button", name="Hold")
    await hold.click()
    async with page.expect_response("**/feed") as answer:
        held.set()
    await (await answer.value).finished()
    # What it does with the answer is done by the second frame.
    await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert await page.locator("#feed li").count() == before
    await hold.click()
    await expect(page.locator("#feed li")).to_have_count(before + 1)


async def test_paging_keeps_the_connection_and_the_address(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(60)
    page = user.page
    await user.open(f"/runs/{run_id}?show=all")
    await expect(page.locator(".live-text")).to_have_text(LIVE)
    await mark(page)
    await page.get_by_role("link", name="Next page").click()
    await expect(page.locator("#leads tbody tr")).to_have_count(10)
    assert "after=50" in page.url
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
    await expect(page.locator("#count-busy b")).to_have_text("1")
    await expect(page.locator("#leads tbody tr")).to_have_count(10)
    assert await untouched(page)
    await page.go_back()
    await expect(page.locator("#leads tbody tr")).to_have_count(50)


async def test_an_open_question_and_the_keyboard_survive_an_update(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(5)
    page = user.page
    await user.open(f"/runs/{run_id}")
    await expect(page.locator(".live-text")).to_have_text(LIVE)
    await page.locator("#count-queued").focus()
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
    await expect(page.locator("#count-busy b")).to_have_text("1")
    await expect(page.locator("#count-queued")).to_be_focused()
    await page.locator("#do-end").click()
    await page.get_by_label("Now, and hang up").check()
    await site.database.record(attempts[1], AttemptState.OVER, outcome="busy")
    await expect(page.locator("#count-busy b")).to_have_text("2")
    await expect(page.get_by_label("Now, and hang up")).to_be_checked()
    await page.get_by_role("button", name="End the campaign").click()
    await expect(page.get_by_text("The campaign is over.")).to_be_visible()
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.attempts WHERE hang_up_at IS NOT NULL") == 1


async def test_what_is_selected_and_in_sight_stays_while_the_page_is_updated(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(40)
    page = user.page
    await user.open(f"/runs/{run_id}?show=all")
    await expect(page.locator(".live-text")).to_have_text(LIVE)
    rows = page.locator("#leads tbody tr")
    for n in (20, 22):
        await rows.nth(n).locator("input").check()
    await page.locator("#scope-all").check()
    await rows.nth(21).evaluate("row => row.scrollIntoView({ block: 'center' })")
    before = await rows.nth(21).bounding_box()
    attempts, _ = await site.database.claim(site.business)
    for attempt in attempts:
        await site.database.record(attempt, AttemptState.OVER, outcome="busy")
    await expect(rows.nth(2)).to_contain_text("Busy")
    await expect(page.locator("#leads input:checked")).to_have_count(3)
    for chosen in (rows.nth(20).locator("input"), rows.nth(22).locator("input"), page.locator("#scope-all")):
        await expect(chosen).to_be_checked()
    after = await rows.nth(21).bounding_box()
    assert before
    assert after
    assert await page.evaluate("scrollY") > 0
    assert abs(after["y"] - before["y"]) < page.viewport_size["height"] / 2, "the row is where it was, but for a line that came or went"  # type: ignore[index]
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("Lead 21")
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_have_value("Lead 21/")


async def test_an_ended_session_leads_to_the_sign_in(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(3)
    page = user.page
    await user.open(f"/runs/{run_id}")
    await expect(page.locator(".live-text")).to_have_text(LIVE)
    await page.context.clear_cookies()
    await publish_progress(site, "run.progress", run_id)
    await page.wait_for_url(re.compile(rf"/login\?next=/runs/{run_id}"))
