"""However many windows are open, a browser has one event stream, commands get a connection, and every page is up to date."""

from __future__ import annotations

import asyncio
import itertools
import re
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio as redis
from playwright.async_api import expect

from dialer.clock import SystemClock
from dialer.messages import Event
from dialer.model import AttemptState, Role
from dialer.streams.client import Streams
from ringmaster.local.valkey import Valkey
from tests.browser.conftest import PATIENCE_MILLISECONDS, BrowserUser, open_window
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.chaos.polling import lasting, until
from tests.web_site import hash_of, serving
from web.events import fanout as fanout_module
from web.pages.outcome_groups import GROUPS
from web.pages.run import run_leads, run_page
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Page, Route

    from tests.rows import DatabaseFixture
    from tests.web_site import Site
    from web.events.fanout import Fanout

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MILLISECONDS)
LIVE = re.compile(r"Live since")
WINDOWS = 8
# The target is 300 ms. A busy machine with two cores gets twenty times that, or ten times what the same request takes without a browser;
# behind a fetch that hangs it would be 10 s.
GENEROUS_SECONDS = 6.0
WITHOUT_WORKERS = "delete window.SharedWorker"
WITHOUT_ANYTHING_SHARED = f"{WITHOUT_WORKERS}; delete Navigator.prototype.locks"
HIDE = """how => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => how === 'hidden' });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def app_of(site: Site) -> Any:  # noqa: ANN401 - the test client's type knows no application
    return site.client.server.app  # type: ignore[attr-defined]


def streams_of(site: Site, business_id: int | None = None) -> int:
    fanout: Fanout = app_of(site)[keys.FANOUT]
    return fanout._per_business[business_id or site.business]


async def until_streams(site: Site, count: int, business_id: int | None = None) -> None:
    async with asyncio.timeout(PATIENCE_MILLISECONDS / 1000):
        while streams_of(site, business_id) != count:  # noqa: ASYNC110 - nothing signals when their number changes
            await asyncio.sleep(0)


async def until_streams_are_of(site: Site, readers: set[tuple[int, str]]) -> None:
    """Wait for it; a stream whose browser has gone is noticed with what is sent next, within some seconds."""

    async def are() -> bool:
        return set(app_of(site)[keys.FANOUT]._per_user) == readers

    await until(are, PATIENCE_MILLISECONDS / 1000, "the streams are theirs")


async def window(user: BrowserUser, run_id: int, script: str | None = None) -> Page:
    """Another window of the same browser, with the page of a run."""
    page = await user.page.context.new_page()
    page.on("pageerror", lambda error: user.console_errors.append(str(error)))
    if script:
        await page.add_init_script(script)
    await page.goto(str(user.site.client.make_url(f"/runs/{run_id}")))
    return page


async def is_live(page: Page) -> None:
    await expect(page.locator(".live-text")).to_have_text(LIVE)


@asynccontextmanager
async def traffic(site: Site, runs: list[int]) -> AsyncIterator[None]:
    """Publish events of all these runs, ten times a second: more often than workers do."""
    streams = Streams(app_of(site)[keys.SETTINGS].redis_url)

    async def publish() -> None:
        while True:
            for run_id in runs:
                await streams.publish([Event("run.progress", site.business, run_id, at=SystemClock().now())])
            await lasting(0.1)

    publishing = asyncio.ensure_future(publish())
    try:
        yield
    finally:
        publishing.cancel()
        await streams.close()


async def stop(page: Page) -> float:
    """End the run now, and confirm; returns the seconds until the server's response."""
    await page.locator("#do-end").click()
    button = page.get_by_role("button", name="End the campaign")
    await expect(button).to_be_visible()
    await page.get_by_label("Now", exact=False).first.check()
    begun = asyncio.get_running_loop().time()
    async with page.expect_response(re.compile(r"/runs/\d+/end$"), timeout=PATIENCE_MILLISECONDS):
        await button.click(no_wait_after=True)
    return asyncio.get_running_loop().time() - begun


async def stop_without_browser(site: Site) -> float:
    run_id = await site.load(1)
    begun = asyncio.get_running_loop().time()
    await site.post("/api/outbound/stop-queue", {"run_id": run_id})
    return asyncio.get_running_loop().time() - begun


async def call_everybody(site: Site) -> None:
    """Call every lead of every run, with one outcome after the other."""
    outcomes = itertools.cycle(["completed", "busy", "no-answer"])
    while (claimed := await site.database.claim(site.business))[0]:
        for attempt in claimed[0]:
            await site.database.record(attempt, AttemptState.OVER, outcome=next(outcomes))


async def shows_the_rows(page: Page, site: Site, run_id: int) -> None:
    run = await site.database.checked_run(site.business, run_id)
    rows = await site.database.pool.fetch(
        "SELECT outcome, count(*) AS n FROM outbound_call_jobs WHERE run_id = $1 GROUP BY outcome", run_id
    )
    outcomes = {row["outcome"]: row["n"] for row in rows}
    expected = {group.key: group.count(outcomes) for group in GROUPS}
    expected |= {"line": run.in_progress, "queued": run.queued, "cancelled": run.cancelled, "skipped": run.skipped}
    for key, number in expected.items():
        # What there is none of is not shown.
        await expect(page.locator(f"#count-{key} b")).to_have_text([str(number)] if number else [])


async def test_stop_works_in_the_eighth_window_and_all_eight_are_up_to_date(user: BrowserUser, site: Site) -> None:
    runs = [await site.database.run(site.business, 2) for _ in range(WINDOWS)]
    pages = [await window(user, run_id) for run_id in runs]
    for page in pages:
        await is_live(page)
    assert streams_of(site) == 1
    async with traffic(site, runs):
        control = await stop_without_browser(site)
        seconds = await stop(pages[-1])
    assert seconds < max(GENEROUS_SECONDS, 10 * control), f"{seconds:.2f} s, {control:.2f} s without a browser"
    await call_everybody(site)
    for page, run_id in zip(pages, runs, strict=True):
        await shows_the_rows(page, site, run_id)
        await expect(page.locator("h1 + .status")).to_have_text(re.compile("Completed|Stopped|Ended"))
    await until_streams(site, 0)
    assert user.console_errors == []


async def test_stop_works_while_every_fetch_hangs(user: BrowserUser, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [await site.database.run(site.business, 2) for _ in range(WINDOWS)]
    pages = [await window(user, run_id) for run_id in runs]
    for page in pages:
        await is_live(page)
    real, released, waiting = run_leads.leads_values, asyncio.Event(), 0

    async def stuck(*arguments: Any) -> Any:  # noqa: ANN401 - as the real one
        nonlocal waiting
        waiting += 1
        try:
            await released.wait()
        finally:
            waiting -= 1
        return await real(*arguments)

    monkeypatch.setattr(run_page, "leads_values", stuck)
    async with asyncio.timeout(PATIENCE_MILLISECONDS / 1000), traffic(site, runs):
        # Every connection except the stream's is in use.
        while waiting < 5:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0)
        control = await stop_without_browser(site)
        seconds = await stop(pages[-1])
    assert seconds < max(GENEROUS_SECONDS, 10 * control), f"{seconds:.2f} s, {control:.2f} s without a browser"
    released.set()
    for page, run_id in zip(pages, runs, strict=True):
        await shows_the_rows(page, site, run_id)


async def test_a_window_that_opens_later_misses_nothing(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(3)
    first = await window(user, run_id)
    await is_live(first)
    second = await user.page.context.new_page()
    address = str(site.client.make_url(f"/runs/{run_id}"))

    async def change(route: Any) -> None:  # noqa: ANN401 - Playwright's
        # Something happens after the page was rendered, and before its script joins the stream, which is open already.
        answer = await route.fetch()
        attempts, _ = await site.database.claim(site.business)
        await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
        await expect(first.locator("#count-busy b")).to_have_text("1")
        await route.fulfill(response=answer)

    await second.route(address, change, times=1)
    await second.goto(address)
    await expect(second.locator("#count-busy b")).to_have_text("1")
    await is_live(second)
    assert streams_of(site) == 1


async def test_without_shared_workers_one_page_leads_and_another_takes_over(user: BrowserUser, site: Site) -> None:
    runs = [await site.database.run(site.business, 2) for _ in range(3)]
    pages = [await window(user, run_id, WITHOUT_WORKERS) for run_id in runs]
    for page in pages:
        await is_live(page)
    assert streams_of(site) == 1
    await pages.pop(0).close()
    await call_everybody(site)
    for page, run_id in zip(pages, runs[1:], strict=True):
        await shows_the_rows(page, site, run_id)
    await until_streams(site, 0)


async def test_the_leading_page_steps_down_when_it_is_hidden(user: BrowserUser, site: Site) -> None:
    runs = [await site.load(2), await site.load(2)]
    leader, other = [await window(user, run_id, WITHOUT_WORKERS) for run_id in runs]
    await is_live(leader)
    await is_live(other)
    await leader.evaluate(HIDE, "hidden")
    await expect(leader.locator(".live-text")).to_have_text(re.compile("Reconnecting since"))
    await site.post(f"/api/outbound/runs/{runs[1]}/pause")
    await expect(other.locator("h1 + .status")).to_have_text("Paused")
    await is_live(other)
    assert streams_of(site) == 1
    await leader.evaluate(HIDE, "seen")
    await is_live(leader)
    assert streams_of(site) == 1


async def test_without_workers_and_locks_a_visible_page_has_its_own_stream(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(2)
    page = await window(user, run_id, WITHOUT_ANYTHING_SHARED)
    await is_live(page)
    await page.evaluate(HIDE, "hidden")
    await until_streams(site, 0)
    await site.post(f"/api/outbound/runs/{run_id}/pause")
    await page.evaluate(HIDE, "seen")
    await expect(page.locator("h1 + .status")).to_have_text("Paused")
    await is_live(page)


async def test_signing_out_in_one_window_ends_the_stream_of_all(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(2)
    pages = [await window(user, run_id) for _ in range(2)]
    for page in pages:
        await is_live(page)
    await user.open("/settings/me")
    await user.page.locator(".account summary").click()
    await user.page.get_by_role("button", name="Sign out").click()
    for page in pages:
        await page.wait_for_url(re.compile("/login"))
    await until_streams(site, 0)


async def test_a_page_reloads_once_when_each_of_its_fragments_is_rejected(user: BrowserUser, site: Site) -> None:
    page = await window(user, await site.load(2))
    await is_live(page)
    fragments = await page.locator("[data-fragment]").count()
    assert fragments > 1
    rejected, reloads = asyncio.Semaphore(0), 0

    async def hold_until_all_are_rejected(route: Route) -> None:
        nonlocal reloads
        reloads += 1
        for _ in range(fragments):
            await rejected.acquire()
        await route.continue_()

    page.on("response", lambda response: rejected.release() if response.status == HTTPStatus.UNAUTHORIZED else None)
    await page.route(page.url, hold_until_all_are_rejected)
    await user.open("/settings/me")
    await user.page.locator(".account summary").click()
    await user.page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url(re.compile("/login"))
    assert reloads == 1


@pytest.mark.parametrize("of", ["the same business", "another business"])
async def test_the_next_user_gets_no_events_of_the_previous_one(user: BrowserUser, site: Site, of: str) -> None:
    business_id = site.business if of == "the same business" else site.rival
    hashed = await asyncio.to_thread(hash_of, PASSWORD)
    next_id = await site.database.user(business_id, "next@example.com", Role.VIEWER, hashed)
    run_id = await site.load(3)
    old = await window(user, run_id)
    await is_live(old)
    # Without a sign-out, as after a second sign-in in the same browser: the stream of the previous user is still open.
    browser = BrowserSession(site)
    await browser.sign_in("next@example.com")
    await user.take(browser)
    assert streams_of(site) == 1
    await site.post(f"/api/outbound/runs/{run_id}/pause")
    if business_id == site.business:
        await expect(old.locator("main")).to_have_attribute("data-reader", f"user:{next_id}")
        await expect(old.locator("#do-end")).to_have_count(0)
        await is_live(old)
        await until_streams_are_of(site, {(site.business, f"user:{next_id}")})
    else:
        await expect(old.locator("h1")).to_have_text("Not found")
        theirs = await window(user, await site.rivals_run())
        await is_live(theirs)
        await until_streams(site, 0)
        assert streams_of(site, site.rival) == 1


async def test_with_a_redis_that_is_full_or_rejects_writes_the_page_says_so_and_keeps_to_the_rows(
    database_url: str, database: DatabaseFixture, browser: Browser, tmp_path: Path
) -> None:
    valkey = Valkey(tmp_path)
    await valkey.start()
    try:
        async with (
            serving(database_url, valkey.url, database, PUBLIC_URL="http://127.0.0.1") as site,
            redis.from_url(valkey.url) as operator,
        ):
            await site.user(EMAIL, PASSWORD)
            context, user = await open_window(site, browser)
            run_id = await site.load(8)
            page = await window(user, run_id)
            await is_live(page)
            for setting, outcome in (("maxmemory", "busy"), ("min-replicas-to-write", "no-answer")):
                await operator.config_set(setting, 1)
                await expect(page.locator(".live-text")).to_have_text(re.compile("Updating every 2 seconds since"))
                attempts, _ = await site.database.claim(site.business)
                await expect(page.locator("[id^=call-]")).to_have_count(3)
                for attempt in attempts:
                    await site.database.record(attempt, AttemptState.OVER, outcome=outcome)
                for press, shown in (("#do-pause", "Paused"), ("#do-resume", "Calling, 0 of 3 lines")):
                    await page.locator(press).click()
                    await expect(page.locator("h1 + .status")).to_have_text(shown)
                await shows_the_rows(page, site, run_id)
                await operator.config_set(setting, 0)
                await is_live(page)
            await context.close()
    finally:
        await valkey.stop()


async def test_while_disconnected_the_page_says_so_and_its_buttons_work(
    user: BrowserUser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout_module, "MAX_LISTENERS_PER_BUSINESS", 0)
    run_id = await site.load(3)
    await user.open(f"/runs/{run_id}")
    page = user.page
    await expect(page.locator(".live-text")).to_have_text(re.compile("Reconnecting since"))
    await page.locator("#do-pause").click()
    await expect(page.locator("h1 + .status")).to_have_text("Paused")
    await expect(page.locator(".live-text")).to_have_text(re.compile("Reconnecting since"))
    await stop(page)
    await expect(page.locator("h1 + .status")).to_have_text("Stopped")
    monkeypatch.undo()


async def test_the_pages_of_a_run_that_is_over_open_no_stream(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(1, start=False)
    await site.post(f"/api/outbound_calls/jobs/{run_id}/cancel")
    page = await window(user, run_id)
    await expect(page.locator("h1 + .status")).to_have_text("Cancelled")
    await page.wait_for_load_state("networkidle")
    assert streams_of(site) == 0
