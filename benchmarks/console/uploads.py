"""A list of 100,000 people through the page "New campaign": how long each step takes, and what is seen of its progress."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.console.browser import add_user, chromium, signed_in
from benchmarks.imports import FIRST_NUMBER
from benchmarks.system import System

if TYPE_CHECKING:
    from playwright.async_api import Page

# The uploads of an office: what the browser sends is slowed down to this.
MEGABITS = 8.0
MAIN = ".step-open button.main-action"
NOTE = """() => new MutationObserver(() => window.note(document.querySelector(".upload output").textContent))
  .observe(document.querySelector(".upload output"), { childList: true, characterData: true, subtree: true })"""


@dataclass(frozen=True, slots=True)
class Upload:
    """So many people in `megabytes` of CSV.

    `upload_seconds` from the click to the page of the columns, in which so many different percentages were seen; `check_seconds` and
    `create_seconds` those of the next two steps.
    """

    people: int
    megabytes: float
    upload_seconds: float
    progress_steps: int
    check_seconds: float
    create_seconds: float


async def measure(people: int) -> Upload:
    """Load one list as a person does."""
    rows = (f"{n},(305) {str(FIRST_NUMBER + n)[:3]}-{str(FIRST_NUMBER + n)[3:]},Lead {n},Miami\n" for n in range(1, people + 1))
    content = ("id,phone,name,city\n" + "".join(rows)).encode()
    async with System(workers=0, speed=1.0) as system, chromium() as browser:
        [business] = await system.businesses(1, 1, start=False)
        await add_user(system, business)
        context = await signed_in(system, browser, "en-US")
        page = await context.new_page()
        seen: set[str] = set()
        await page.expose_function("note", lambda text: seen.add(text))  # noqa: PLW0108 Playwright sets attributes of it
        await page.goto(f"{system.environment['PUBLIC_URL']}/runs/new")
        await page.locator("#file").set_input_files({"name": "people.csv", "mimeType": "text/csv", "buffer": content})
        await page.evaluate(NOTE)
        session = await context.new_cdp_session(page)
        speed = MEGABITS * 1_000_000 / 8
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": speed}
        await session.send("Network.emulateNetworkConditions", conditions)
        uploading = await _press(page, MAIN, "step=columns")
        checking = await _press(page, MAIN, "step=check")
        await _press(page, MAIN, "step=calling")
        creating = await _press(page, 'button[value="saved"]', r"/runs/\d+$")
        loaded = await system.pool.fetchval("SELECT max(total_leads) FROM public.outbound_call_runs")
    if loaded != people:
        message = f"{people} people were sent, {loaded} are in the campaign"
        raise RuntimeError(message)
    return Upload(people, len(content) / 1_000_000, uploading, len(seen), checking, creating)


async def _press(page: Page, selector: str, address: str) -> float:
    """Press a button and wait for the page it leads to; the seconds that took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await page.locator(selector).first.click(no_wait_after=True)
    await page.wait_for_url(re.compile(address))
    return loop.time() - began
