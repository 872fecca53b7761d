"""Accessibility: keyboard, screen reader, both writing directions, phones, and no scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from dialer.model import AttemptState
from tests.browser.axe import overflow, violations
from tests.browser.conftest import PATIENCE_MILLISECONDS, open_window
from tests.browser_session import EMAIL, PASSWORD

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.web_site import Site

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MILLISECONDS)
CUT = "selector => { const found = document.querySelector(selector); return found.scrollWidth - found.clientWidth; }"
HEIGHTS = "rows => rows.map((row) => Math.round(row.getBoundingClientRect().height))"
# Where the words of a row stand: a box without height is put at the end of each text.
BASELINES = """row => {
  const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT), texts = [];
  while (walker.nextNode()) if (walker.currentNode.data.trim()) texts.push(walker.currentNode);
  return [...new Set(texts.map((text) => {
    const mark = document.createElement("span");
    mark.style.display = "inline-block";
    text.after(mark);
    const place = Math.round(mark.getBoundingClientRect().bottom);
    mark.remove();
    return place;
  }))];
}"""
TYPE_SIZES = """() => new Set([...document.querySelectorAll("body *")]
  .filter((one) => one.getClientRects().length && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .map((one) => getComputedStyle(one).fontSize)).size"""
LEADS = "lead_id,phone,name\n1,0500000001,Ada\n2,12,Grace\n3,0500000001,Twice\n"


async def busy_run(site: Site) -> tuple[int, int]:
    """A run with leads in every state, and one of its jobs."""
    run_id = await site.load(12)
    attempts, _ = await site.database.claim(site.business)
    form = {"CallSid": "CA" + "1" * 32, "To": attempts[0].phone, "Direction": "outbound-api"}
    await site.database.record(attempts[0], AttemptState.RINGING, sid=form["CallSid"], callback={**form, "CallStatus": "ringing"})
    await site.database.record(
        attempts[0], AttemptState.OVER, outcome="completed", duration=7, callback={**form, "CallStatus": "completed"}
    )
    await site.database.record(attempts[1], AttemptState.OVER, outcome="busy")
    await site.database.claim(site.business)
    await site.database.pool.execute("UPDATE outbound_call_runs SET last_error = 'The account refuses calls: 20003' WHERE id = $1", run_id)
    return run_id, attempts[0].job_id


async def test_axe_finds_no_violations_in_dialogs_steps_and_errors(site: Site, browser: Browser) -> None:
    """The states of pages that no address leads to; the pages themselves are in test_every_page.py."""
    run_id, _ = await busy_run(site)
    context, user = await open_window(site, browser, locale="he-IL", color_scheme="dark")
    page = user.page
    found = []
    await user.open(f"/runs/{run_id}")
    await page.locator("#do-end").click()
    await expect(page.locator("dialog")).to_be_visible()
    found += await violations(page, "dialog")
    await user.open("/runs/new")
    await page.fill("#text", LEADS + "3,12,Short\n")
    for _ in ("columns", "check", "calling", "an error"):
        async with page.expect_navigation():
            await page.locator(".step-open button.main-action").click()
        if await page.locator("#group-cannot").count():
            await page.locator("#group-cannot").click()
            await expect(page.locator("#rows")).to_be_visible()
        found += await violations(page, "main")
        if await page.locator("#say").count():
            await page.fill("#say", "{nobody}")
    await page.context.clear_cookies()
    await user.open("/login")
    await page.locator("#email").fill("nobody@example.com")
    await page.locator("#password").fill("x")
    await page.keyboard.press("Enter")
    await expect(page.locator("#error")).to_be_visible()
    found += await violations(page)
    await context.close()
    assert found == []
    assert user.console_errors == []


async def test_hebrew_runs_from_right_to_left_and_numbers_do_not(site: Site, browser: Browser) -> None:
    run_id, _ = await busy_run(site)
    context, user = await open_window(site, browser, locale="he-IL", viewport={"width": 1180, "height": 900})
    page = user.page
    await user.open(f"/runs/{run_id}")
    assert await page.evaluate("getComputedStyle(document.body).direction") == "rtl"
    for selector in ("#leads tbody td .ltr", ".lane > .ltr", ".account .ltr"):
        style = await page.locator(selector).first.evaluate("e => [getComputedStyle(e).direction, getComputedStyle(e).unicodeBidi]")
        assert style == ["ltr", "isolate"], selector
    title = await page.locator("h1").bounding_box()
    actions = await page.locator("#actions").bounding_box()
    assert title
    assert actions
    assert title["x"] > actions["x"], "what comes first stands to the right"
    assert await overflow(page) == 0
    await context.close()


async def test_the_page_of_a_run_is_dense_and_has_three_sizes_of_type(site: Site, browser: Browser) -> None:
    run_id, _ = await busy_run(site)
    context, user = await open_window(site, browser, viewport={"width": 1440, "height": 900})
    await user.open(f"/runs/{run_id}?show=all")
    heights = await user.page.locator("#leads tbody tr").evaluate_all(HEIGHTS)
    assert (len(heights), max(heights) <= 31) == (12, True), "30 px and the line below"
    assert set(await user.page.locator("#feed li").evaluate_all(HEIGHTS)) == {30}
    assert await user.page.evaluate("parseFloat(getComputedStyle(document.querySelector('#feed')).maxHeight) % 30") == 0, "none is cut"
    for row in ("#leads tbody tr:first-child", "#feed li:first-child"):
        assert len(await user.page.locator(row).evaluate(BASELINES)) == 1, row
    assert await user.page.evaluate(TYPE_SIZES) == 3
    await user.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert await user.page.locator(".run-bar").evaluate("bar => bar.getBoundingClientRect().top") == 0, "it stays in sight"
    await expect(user.page.locator(".run-bar .live-text")).to_be_in_viewport()
    await context.close()


@pytest.mark.parametrize("locale", ["en-US", "he-IL"])
async def test_pages_fit_a_phone(site: Site, browser: Browser, locale: str) -> None:
    run_id, job_id = await busy_run(site)
    context, user = await open_window(site, browser, locale=locale, viewport={"width": 360, "height": 740})
    for path in ("/", f"/runs/{run_id}", f"/runs/{run_id}/jobs/{job_id}", "/runs/new"):
        await user.open(path)
        assert await user.page.evaluate(CUT, ".menu") == 0, path
        assert await overflow(user.page) == 0, path
    await context.close()


async def call_export_and_call_back(site: Site, page: Page) -> None:
    """The one lead is busy; it is exported, by selection too, and called back: the page of the new run is open then."""
    [attempt], _ = await site.database.claim(site.business)
    await site.database.record(attempt, AttemptState.OVER, outcome="busy")
    await page.reload()
    for hidden in ("[data-zoom]", "[data-print]", ".copies"):
        assert not await page.locator(hidden).locator("visible=true").count()
    await page.locator("#sort-name").click()
    await expect(page.locator("th[aria-sort=ascending]")).to_have_text("Name")
    await page.locator("#leads tbody input").check()
    await page.locator("#export summary").click()
    for press in ("#export-selected", "#export-matching", '#export a[href*="for=people"]'):
        async with page.expect_download() as begun:
            await page.locator(press).click()
        assert (await (await begun.value).path()).stat().st_size
    await page.locator("#call-back button").click()
    await expect(page.locator("#count-queued b")).to_have_text("1")


async def test_everything_but_the_live_updates_works_without_scripts(site: Site, browser: Browser) -> None:
    context, user = await open_window(site, browser, java_script_enabled=False)
    page = user.page
    await context.clear_cookies()
    await user.open("/login")
    await page.fill("#email", EMAIL)
    await page.fill("#password", PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="Campaigns").click()
    await page.get_by_role("link", name="New campaign").click()
    await page.fill("#text", LEADS)
    for name in ("Continue to the columns", "Continue to the check", "Continue to the calls", "Call 1 person"):
        await page.get_by_role("button", name=name).click()
    await expect(page.get_by_text("Without JavaScript this page does not update")).to_be_visible()
    await call_export_and_call_back(site, page)
    await page.locator(".chips").get_by_role("link", name="Still to call").click()
    await expect(page.locator("#leads tbody tr")).to_have_count(1)
    for press, shown in (("#do-pause", "Paused"), ("#do-resume", "Calling, 0 of 3 lines")):
        await page.locator(press).click()
        await expect(page.locator("h1 + .status")).to_have_text(shown)
    await page.locator("#do-end").click()
    await expect(page.locator("h1")).to_have_text("End this campaign?")
    await page.get_by_role("button", name="End the campaign").click()
    await expect(page.locator("h1 + .status")).to_have_text("Cancelled")
    await page.get_by_role("button", name="עברית").click()
    await expect(page.locator("html")).to_have_attribute("dir", "rtl")
    await page.locator(".account summary").click()
    await page.get_by_role("button", name="התנתקות").click()
    await expect(page.locator("#email")).to_be_visible()
    await context.close()
