"""Whatever names, errors and addresses contain, no page scrolls sideways, and phone numbers stay where they are expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from dialer.model import AttemptState
from tests.browser.axe import overflow
from tests.browser.conftest import PATIENCE_MILLISECONDS, open_window
from tests.browser_session import EMAIL
from web.server import i18n

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.browser.conftest import BrowserUser
    from tests.web_site import Site

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MILLISECONDS)
LONG = "W" * 255
HEBREW = "ש" * 255
ADDRESS = f"{'w' * 60}@{'.'.join(['m' * 60] * 3)}.com"
# Elements that overflow their box, although the page itself does not scroll.
STICKING_OUT = """() => [...document.querySelectorAll('main *, header *')].filter(e => {
  if (e.closest('.scroll, svg, textarea, .said-only, .menu, [hidden], dialog:not([open])') || !e.getClientRects().length) return false;
  const outer = e.parentElement; // a text that is cut off with an ellipsis
  if (getComputedStyle(outer).overflowX === 'hidden' && outer.scrollWidth > outer.clientWidth) return false;
  const box = e.getBoundingClientRect();
  return box.right > innerWidth + 1 || box.left < -1;
}).map(e => `${e.tagName} ${e.className} ${e.id}`)"""
# On a desktop no table needs scrolling.
SCROLLED = "() => [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.scrollWidth)"
PHONE_PLACES = "all => all.map(e => { const b = e.getBoundingClientRect(); return [b.left, b.right] })"


async def hostile(site: Site) -> tuple[int, int]:
    """A run whose texts have the maximum length; calls on the line, a failed lead, an error, an e-mail address."""
    names = [LONG, HEBREW, f"{LONG[:120]} {HEBREW[:120]}", "Ada", LONG]
    leads = [{"lead_id": 2**31 - 1 - n, "phone": f"+97250000{n:04}", "name": name} for n, name in enumerate(names)]
    response = await site.post("/api/outbound/runs", {"name": LONG, "leads": leads, "start": True})
    run_id = int(response.json["run_id"])
    await site.load(1, name=HEBREW)
    pool = site.database.pool
    await pool.execute("UPDATE dialer.users SET email = $1 WHERE email = $2", ADDRESS, EMAIL)
    await pool.execute("UPDATE dialer.businesses SET name = $1 WHERE business_id = $2", LONG, site.business)
    await pool.execute("UPDATE outbound_call_runs SET last_error = $1 WHERE id = $2", f"20003: {LONG}", run_id)
    await pool.execute("UPDATE dialer.audit_log SET actor = $1 WHERE run_id = $2", f"stream:{LONG}", run_id)
    attempts, _ = await site.database.claim(site.business)
    sid = "CA" + "1" * 32
    callback = {"CallSid": sid, "To": attempts[0].phone, "Header": LONG, LONG: "x"}
    await site.database.record(
        attempts[0], AttemptState.OVER, outcome="failed", sid=sid, reason=LONG, callback={**callback, "CallStatus": "failed"}
    )
    await pool.execute("UPDATE outbound_call_jobs SET error_message = $1 WHERE id = $2", LONG, attempts[0].job_id)
    return run_id, attempts[0].job_id


async def long_list(page: Page) -> AsyncIterator[str]:
    """The steps of a campaign whose list, name and script are long."""
    await page.fill("#text", f"lead_id,phone,name,{LONG[:80]}\n1,{'9' * 200},{LONG},x\n2,0501234567,{LONG},y\n{LONG},0501234568,x,z\n")
    for step in ("columns", "check", "calling"):
        async with page.expect_navigation():
            await page.locator(".step-open button.main-action").click()
        yield step
    await page.fill("#name", LONG)
    await page.fill("#say", f"{LONG} {{name}}")
    async with page.expect_navigation():
        await page.locator('button[value="show"]').click()
    yield "calling with a script"


async def test_no_page_scrolls_sideways(site: Site, browser: Browser) -> None:
    context, user = await open_window(site, browser)
    run_id, job_id = await hostile(site)
    faults = []
    for language, width in (("he", 390), ("en", 1440)):
        await context.add_cookies([{"name": i18n.COOKIE, "value": language, "url": str(site.client.make_url("/"))}])
        await user.page.set_viewport_size({"width": width, "height": 900})
        faults += [fault async for fault in faults_of(user, run_id, job_id, width)]
    await context.close()
    assert faults == []
    assert user.console_errors == []


async def faults_of(user: BrowserUser, run_id: int, job_id: int, width: int) -> AsyncIterator[str]:
    """What sticks out, page by page."""
    page = user.page
    async for name in shown_pages(user, run_id, job_id):
        wide, out = await overflow(page), await page.evaluate(STICKING_OUT)
        out += await page.evaluate(SCROLLED) if width > 1000 else []
        if wide or out:
            yield f"{name}: {wide} px, {out[:5]}"
        for left, right in await page.locator("#leads tbody .lead-number .ltr").evaluate_all(PHONE_PLACES):
            # On a telephone the table scrolls in its own box; a name must not push the numbers out of the first two screens.
            if not (0 <= left < right <= width if width > 1000 else -width <= left < right <= 2 * width):
                yield f"{name}: a number from {left} to {right} px"


async def shown_pages(user: BrowserUser, run_id: int, job_id: int) -> AsyncIterator[str]:
    """Show one after the other, and its name."""
    page = user.page
    for path in ("/runs", f"/runs/{run_id}?outcome=busy", f"/runs/{run_id}/end", f"/runs/{run_id}/jobs/{job_id}"):
        await user.open(path)
        yield path
    await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    yield "an open callback"
    await user.open(f"/runs/{run_id}")
    assert await page.locator("#leads tbody .lead-number .ltr").count()
    yield "the run"
    await page.locator("#do-end").click()
    await expect(page.locator("dialog")).to_be_visible()
    yield "the question"
    await user.open("/runs/new")
    async for step in long_list(page):
        yield step
