"""A real Chromium with a signed-in user, against a real web process."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.browser_session import EMAIL, PASSWORD
from tests.web_site import Site, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext, Page

    from tests.rows import DatabaseFixture

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Generous, because a test machine may be busy.
PATIENCE_MILLISECONDS = 20_000
# The browser logs these for responses that are errors on purpose.
EXPECTED = re.compile(r"Failed to load resource: (the server responded with a status of|net::ERR_)")


@pytest_asyncio.fixture
async def site(database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    """A web process that a browser can sign in to over plain HTTP, and an operator."""
    async with serving(database_url, redis_url, database, PUBLIC_URL="http://127.0.0.1") as site:
        await site.user(EMAIL, PASSWORD)
        yield site


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on PATH; on Debian: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


class BrowserUser:
    """A user with one browser window, and the errors and warnings in its console."""

    def __init__(self, site: Site, page: Page) -> None:
        self.site = site
        self.page = page
        self.console_errors: list[str] = []
        page.on("console", lambda message: self._record_console(message.type, message.text))
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))

    async def open(self, path: str) -> None:
        await self.page.goto(str(self.site.client.make_url(path)))

    async def sign_in(self) -> None:
        await self.open("/login")
        await self.page.fill("#email", EMAIL)
        await self.page.fill("#password", PASSWORD)
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url(re.compile("/$"))

    def _record_console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not EXPECTED.match(text):
            self.console_errors.append(text)


async def open_window(site: Site, browser: Browser, **settings: object) -> tuple[BrowserContext, BrowserUser]:
    """A new window, signed in."""
    context = await browser.new_context(**{"locale": "en-US", **settings})  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    user = BrowserUser(site, await context.new_page())
    await user.sign_in()
    return context, user


@pytest_asyncio.fixture
async def user(site: Site, browser: Browser) -> AsyncIterator[BrowserUser]:
    """A signed-in operator, whose browser must have logged no errors at the end."""
    context, user = await open_window(site, browser)
    yield user
    await context.close()
    assert user.console_errors == []
