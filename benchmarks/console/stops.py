"""Stop, pressed in the last of eight windows of one browser: until the web process has answered."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

    from benchmarks.system import System

WINDOWS = 8
LEADS = 50
ENDED = re.compile(r"/runs/\d+/end$")


async def press_stop(system: System, context: BrowserContext, business: int, stops: int) -> list[float]:
    """Keep seven windows of this business open, and stop a run in the eighth, again and again; the seconds of each."""
    *others, last = [await context.new_page() for _ in range(WINDOWS)]
    for n, page in enumerate(others):
        await _show(system, page, await system.run(business, n, LEADS))
    found = []
    for n in range(stops):
        await _show(system, last, await system.run(business, WINDOWS + n, LEADS))
        found.append(await _stop(last))
    return found


async def _show(system: System, page: Page, run_id: int) -> None:
    await page.goto(f"{system.environment['PUBLIC_URL']}/runs/{run_id}")
    await page.wait_for_function("() => /Live since/.test(document.querySelector('.live-text')?.textContent)")


async def _stop(page: Page) -> float:
    """From the click that confirms to the answer."""
    await page.locator("#do-end").click()
    await page.get_by_label("Now", exact=False).first.check()
    button = page.get_by_role("button", name="End the campaign")
    # After the answer the page goes back to the run. A window that is closed meanwhile may hang.
    async with page.expect_navigation():
        began = time.perf_counter()
        async with page.expect_response(ENDED):
            await button.click(no_wait_after=True)
        answered = time.perf_counter()
    return answered - began
