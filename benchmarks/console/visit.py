"""What the page of a run weighs at the first visit and at a later one, and how soon it can be used over a slow line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.console.browser import add_user, chromium, signed_in
from benchmarks.system import System

if TYPE_CHECKING:
    from playwright.async_api import Browser, CDPSession, Page

LEADS = 50
SPEED = 100.0
SLOW_KILOBITS, SLOW_LATENCY_MILLISECONDS = 400, 100
LOCALES = ("en-US", "he-IL")
KILOBYTE = 1_000
# What a page fetches by itself once it is shown: the stream, and its fragments again.
LATER = ("EventSource", "Fetch", "XHR")
TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return [paint?.startTime ?? 0, page.domContentLoadedEventEnd, page.loadEventEnd];
}"""


@dataclass(frozen=True, slots=True)
class Weight:
    """Kilobytes on the wire, with the headers of the answers: of everything, and of each file."""

    kilobytes: float
    files: dict[str, float]


@dataclass(frozen=True, slots=True)
class Times:
    """In milliseconds from the click: something is seen; every script has run, so every button works; all is loaded; updates are live."""

    seen: float
    usable: float
    loaded: float
    live: float


@dataclass(frozen=True, slots=True)
class Visit:
    """A page of a run with fifty leads, in one language; the slow visits over 400 kbit/s with 100 ms of latency."""

    first: Weight
    later: Weight
    slow_first: Times
    slow_later: Times


@dataclass
class _Traffic:
    """What a page fetches, by the browser's own account."""

    names: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)

    def sent(self, event: dict[str, Any]) -> None:
        if event.get("type") not in LATER and event["request"]["url"].startswith("http"):
            self.names[event["requestId"]] = event["request"]["url"].split("?")[0].rsplit("/", 1)[-1]

    def finished(self, event: dict[str, Any]) -> None:
        name = self.names.get(event["requestId"])
        if name and event["encodedDataLength"]:
            self.sizes[name] = self.sizes.get(name, 0) + event["encodedDataLength"] / KILOBYTE

    def weight(self) -> Weight:
        found = Weight(sum(self.sizes.values()), dict(sorted(self.sizes.items(), key=lambda item: -item[1])))
        self.sizes = {}
        return found


async def measure() -> dict[str, Visit]:
    """Visit a run that is being called, in each language."""
    async with System(speed=SPEED) as system, chromium() as browser:
        [(business, run_id)] = (await system.businesses(1, LEADS)).items()
        await add_user(system, business)
        await system.start_workers()
        await system.until_over(LEADS // 3)
        url = f"{system.environment['PUBLIC_URL']}/runs/{run_id}?show=all"
        return {locale: await _visit(system, browser, locale, url) for locale in LOCALES}


async def _visit(system: System, browser: Browser, locale: str, url: str) -> Visit:
    weights, slow = [], []
    for is_slow in (False, True):
        context = await signed_in(system, browser, locale)
        page = await context.new_page()
        session = await context.new_cdp_session(page)
        traffic = _Traffic()
        session.on("Network.requestWillBeSent", traffic.sent)
        session.on("Network.loadingFinished", traffic.finished)
        await session.send("Network.enable")
        if is_slow:
            await _slow_down(session)
        for _ in ("first", "later"):
            times = await _open(page, url)
            weights.append(traffic.weight())
            slow.append(times)
            await page.goto("about:blank")
        await context.close()
    return Visit(weights[0], weights[1], slow[2], slow[3])


async def _slow_down(session: CDPSession) -> None:
    bytes_a_second = SLOW_KILOBITS * KILOBYTE / 8
    conditions = {
        "offline": False,
        "latency": SLOW_LATENCY_MILLISECONDS,
        "downloadThroughput": bytes_a_second,
        "uploadThroughput": bytes_a_second,
    }
    await session.send("Network.emulateNetworkConditions", conditions)


async def _open(page: Page, url: str) -> Times:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await page.goto(url)
    await page.locator(".live[data-state=live], [data-over]").first.wait_for()
    live = (loop.time() - began) * 1000
    await page.evaluate("document.fonts.ready")
    seen, usable, loaded = await page.evaluate(TIMES)
    return Times(seen, usable, loaded, live)
