"""A real Chromium with a signed-in user, against a real web process."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.browser.axe import serve_axe
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.web_site import Site, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

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
    "--remote-debugging-port=0",
)
LISTENING = re.compile(r"DevTools listening on (\S+)")
# Generous, because a test machine may be busy.
PATIENCE_MILLISECONDS = 20_000
# The browser logs these for responses that are errors on purpose.
EXPECTED = re.compile(r"Failed to load resource: (the server responded with a status of|net::ERR_)")


@pytest_asyncio.fixture
async def site(database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    """A web process that a browser can sign in to over plain HTTP, and an operator."""
    async with serving(database_url, redis_url, database, PUBLIC_URL="http://127.0.0.1") as site:
        await site.user(EMAIL, PASSWORD)
        serve_axe(site)
        yield site


@pytest.fixture(scope="session")
def chromium_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Debian's Chromium, started once: each test gets windows of its own in it, with cookies of their own."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on PATH; on Debian: apt-get install chromium")
    profile = tmp_path_factory.mktemp("chromium")
    with subprocess.Popen([path, *FLAGS, f"--user-data-dir={profile}"], stderr=subprocess.PIPE, text=True) as chromium:
        assert chromium.stderr is not None
        address = next((found[1] for line in chromium.stderr if (found := LISTENING.match(line))), None)
        assert address, "Chromium ended"
        # Read on, or Chromium would stop at a full pipe.
        threading.Thread(target=chromium.stderr.read, daemon=True).start()
        yield address
        chromium.terminate()


@pytest_asyncio.fixture
async def browser(chromium_address: str) -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium_address)
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

    async def sign_in(self, email: str = EMAIL) -> None:
        """Without the page: a test that is about signing in opens it."""
        session = BrowserSession(self.site)
        await session.sign_in(email)
        await self.take(session)

    async def take(self, session: BrowserSession) -> None:
        """Be whoever has signed in with this session."""
        address = str(self.site.client.make_url("/"))
        cookies = [{"name": name, "value": value, "url": address} for name, value in session.cookies.items()]
        await self.page.context.add_cookies(cookies)  # type: ignore[arg-type] # a dict of these is what it takes

    def _record_console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not EXPECTED.match(text):
            self.console_errors.append(text)


async def open_window(site: Site, browser: Browser, email: str = EMAIL, **settings: object) -> tuple[BrowserContext, BrowserUser]:
    """A new window with cookies of its own, signed in."""
    context = await browser.new_context(**{"locale": "en-US", **settings})  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    user = BrowserUser(site, await context.new_page())
    await user.sign_in(email)
    return context, user


@pytest_asyncio.fixture
async def user(site: Site, browser: Browser) -> AsyncIterator[BrowserUser]:
    """A signed-in operator, whose browser must have logged no errors at the end."""
    context, user = await open_window(site, browser)
    yield user
    await context.close()
    assert user.console_errors == []
