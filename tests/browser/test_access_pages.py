"""Users and tokens in a real Chromium, by keyboard alone, in Hebrew on a phone; what is shown once is accessible too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from dialer.model import Role
from tests.browser.axe import overflow, violations
from tests.browser.conftest import PATIENCE_MILLISECONDS, open_window
from tests.browser.hands import Keyboard
from tests.browser_session import PASSWORD

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.web_site import Site

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MILLISECONDS)


async def test_a_user_is_added_and_a_token_made_by_keyboard_alone(site: Site, browser: Browser) -> None:
    await site.database.pool.execute("UPDATE dialer.users SET role = 'admin'")
    await site.user("noa@example.com", PASSWORD, Role.VIEWER)
    context, user = await open_window(site, browser, locale="he-IL", color_scheme="dark", viewport={"width": 390, "height": 844})
    page, found = user.page, []
    hands = Keyboard(page)
    await user.open("/settings/users")
    await hands.write("#email", "new@example.com")
    await hands.focus("input[name=role]:checked")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.locator(".secret")).to_be_visible()
    link = await page.locator(".secret").inner_text()
    found += await violations(page, "main")
    assert await overflow(page) <= 0
    await user.open("/settings/tokens")
    await hands.write("#name", "CRM")
    await page.keyboard.press("Enter")
    await expect(page.locator(".secret")).to_be_visible()
    assert await overflow(page) <= 0
    await page.reload()
    await expect(page.locator(".secret")).to_have_count(0)
    await user.open("/settings/account")
    await hands.write("#account_sid", "AC" + "7" * 32)
    await hands.write("#auth_token", "secret")
    await page.keyboard.press("Tab")
    await expect(page.locator("#account-answer"), "it is checked as it is entered").to_contain_text("לא הצלחנו לבדוק")
    await context.clear_cookies()
    await user.open(re.sub(r"^https?://[^/]*", "", link))
    found += await violations(page)
    await hands.write("#password", "another long password")
    await page.keyboard.press("Tab")
    await page.keyboard.insert_text("another long password")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/$"))
    assert found == []
    assert user.console_errors == []
    await context.close()
