"""Users, tokens and one's own account in a real Chromium: by keyboard alone, in Hebrew on a phone; accessibility of each page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from dialer.model import Role
from tests.browser.conftest import PATIENCE_MILLISECONDS, open_window
from tests.browser.test_access import overflow, violations
from tests.browser_session import PASSWORD

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.web_site import Site

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MILLISECONDS)
PAGES = ("users", "tokens", "sessions", "me", "audit")


async def focus(page: Page, selector: str) -> None:
    """Reach an element by the tab key."""
    target = page.locator(selector).first
    for _ in range(80):
        if await target.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(selector)


async def test_a_user_is_added_and_a_token_made_by_keyboard_alone(site: Site, browser: Browser) -> None:
    await site.database.pool.execute("UPDATE dialer.users SET role = 'admin'")
    await site.user("noa@example.com", PASSWORD, Role.VIEWER)
    context, user = await open_window(site, browser, locale="he-IL", color_scheme="dark", viewport={"width": 390, "height": 844})
    page, found = user.page, []
    for name in PAGES:
        await user.open(f"/settings/{name}")
        found += await violations(page)
        assert await overflow(page) <= 0, name
    await user.open("/settings/users")
    await focus(page, "#email")
    await page.keyboard.type("new@example.com")
    await focus(page, "input[name=role]:checked")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.locator(".secret")).to_be_visible()
    link = await page.locator(".secret").inner_text()
    found += await violations(page)
    assert await overflow(page) <= 0
    await user.open("/settings/tokens")
    await focus(page, "#name")
    await page.keyboard.type("CRM")
    await page.keyboard.press("Enter")
    await expect(page.locator(".secret")).to_be_visible()
    assert await overflow(page) <= 0
    await page.reload()
    await expect(page.locator(".secret")).to_have_count(0)
    await context.clear_cookies()
    await user.open(re.sub(r"^https?://[^/]*", "", link))
    found += await violations(page)
    await focus(page, "#password")
    await page.keyboard.type("another long password")
    await page.keyboard.press("Tab")
    await page.keyboard.type("another long password")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/$"))
    assert found == []
    assert user.console_errors == []
    await context.close()
