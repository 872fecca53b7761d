"""What a page fetches only when it is asked for: the chart that one looks at closer, the progress of an export; and what is copied."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from dialer.model import AttemptState
from tests.browser.axe import violations
from tests.browser.conftest import PATIENCE_MILLISECONDS, open_window
from tests.browser.hands import Keyboard

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

    from tests.browser.conftest import BrowserUser
    from tests.web_site import Site

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MILLISECONDS)
# An hour and a half of calls, one every five minutes.
SPREAD = """
UPDATE dialer.attempts a SET created_at = a.created_at - make_interval(mins => 5 * (18 - j.position)), ended_at = now()
FROM outbound_call_jobs j WHERE j.id = a.job_id
"""
CALLS = re.compile(r"(\d+) calls, (\d+) people answered")


async def calls_in_sight(user: BrowserUser) -> list[int]:
    """The calls and the people that the chart says are in sight."""
    text = await user.page.locator(".closer [role=status]").inner_text()
    found = CALLS.search(text)
    assert found, text
    return [int(number) for number in found.groups()]


async def test_the_chart_is_looked_at_closer_by_keyboard_and_by_dragging(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(18)
    for n in range(6):
        for attempt in (await site.database.claim(site.business))[0]:
            await site.database.record(attempt, AttemptState.OVER, outcome="busy" if n % 2 else "completed", answered_by="human")
    await site.database.pool.execute(SPREAD)
    await site.database.pool.execute("UPDATE outbound_call_runs SET started_at = started_at - interval '100 minutes' WHERE id = $1", run_id)
    page = user.page
    await user.open(f"/runs/{run_id}")
    hands = Keyboard(page)
    await hands.press("#zoom")
    await expect(page.locator(".closer [role=status]")).to_have_text(CALLS)
    assert await violations(page, "dialog") == []
    assert await calls_in_sight(user) == [18, 9], "all of the run"
    await hands.press(".closer [data-by=in]")
    some = await calls_in_sight(user)
    assert 0 < some[0] < 18
    await hands.press(".closer [data-by=all]")
    assert await calls_in_sight(user) == [18, 9]
    plot = await page.locator(".closer .u-over").bounding_box()
    assert plot
    middle = plot["y"] + plot["height"] / 2
    await page.mouse.move(plot["x"] + plot["width"] * 0.2, middle)
    await page.mouse.down()
    await page.mouse.move(plot["x"] + plot["width"] * 0.5, middle, steps=4)
    await page.mouse.up()
    await expect(page.locator(".closer [role=status]")).not_to_contain_text("18 calls")
    await page.mouse.dblclick(plot["x"] + plot["width"] * 0.7, middle)
    await expect(page.locator(".closer [role=status]")).to_contain_text("18 calls, 9 people")
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_have_count(0)
    await expect(page.locator("#zoom")).to_be_focused()


async def test_an_export_shows_how_far_it_is_and_can_be_stopped(user: BrowserUser, site: Site) -> None:
    run_id = await site.load(3, name="Renewals")
    page, arrived, go_on = user.page, asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        arrived.set()
        await go_on.wait()
        await route.continue_()

    await user.open(f"/runs/{run_id}?show=all")
    toast = page.locator(".toast")
    await page.route("**/export.xlsx*", hold)
    await page.locator("#export-matching").click()
    await arrived.wait()
    await expect(toast).to_contain_text("The file is being prepared")
    assert await violations(page, ".toast") == []
    async with page.expect_download() as begun:
        go_on.set()
    assert (await begun.value).suggested_filename == "Renewals.xlsx"
    await expect(toast).to_contain_text("Saved: Renewals.xlsx")
    go_on.clear()
    await page.locator("#export-matching").click()
    await toast.get_by_role("button", name="Stop the export").click()
    await expect(toast).to_have_count(0)
    go_on.set()
    first, _, third = await page.locator("#leads tbody input").all()
    await first.check()
    await third.check()
    async with page.expect_download() as begun:
        await page.locator("#export-selected").click()
    path = await (await begun.value).path()
    assert [row.split(",")[0] for row in path.read_text("utf-8-sig").splitlines()[1:]] == ["1", "3"]
    await expect(third).to_be_checked()
    busy = {"error": "Too many exports are running right now.", "code": "busy"}
    await page.route("**/leads/export", lambda route: route.fulfill(status=503, json=busy))
    await page.locator("#export-selected").click()
    await expect(toast).to_have_text(busy["error"])


async def test_what_is_for_developers_is_copied(site: Site, browser: Browser) -> None:
    run_id = await site.load(1)
    [attempt], _ = await site.database.claim(site.business)
    fields = {"CallSid": "CA1", "CallStatus": "completed", "To": "+972500000001", "Note": "it's 'quoted' $HOME"}
    await site.database.record(attempt, AttemptState.OVER, sid="CA1", outcome="completed", duration=7, callback=fields)
    context, user = await open_window(site, browser, permissions=["clipboard-read", "clipboard-write"])
    page = user.page
    await user.open(f"/runs/{run_id}/jobs/{attempt.job_id}")
    await page.locator(f"#developers-{attempt.attempt_id} > summary").click()

    async def copied(button: str) -> str:
        await page.locator(button).click()
        await expect(page.locator(button)).to_have_text("Copied")
        return str(await page.evaluate("navigator.clipboard.readText()"))

    seen = json.loads(await copied(f"#copy-json-{attempt.attempt_id}"))
    assert seen == (await site.get(f"/api/outbound/runs/{run_id}/jobs/{attempt.job_id}")).json
    command = await copied(f"#copy-curl-{attempt.attempt_id}")
    assert command.startswith("curl -H ")
    assert command.endswith(f"/api/outbound/runs/{run_id}/jobs/{attempt.job_id}")
    await page.locator(f"#callback-{attempt.attempt_id}-1 > summary").click()
    assert json.loads(await copied(f"#copy-json-{attempt.attempt_id}-1"))["fields"] == fields
    command = await copied(f"#copy-curl-{attempt.attempt_id}-1")
    assert "Note=it's 'quoted' $HOME" in shlex.split(command)
    await context.close()
    assert user.console_errors == []
