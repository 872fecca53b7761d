"""A real Chromium before a real web process, with a person signed in."""

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
# A test machine may be busy; nothing here takes this long on a quiet one.
PATIENCE_MILLISECONDS = 20_000
# What the browser itself says of an answer that is an error on purpose.
EXPECTED = re.compile(r"Failed to load resource: (the server responded with a status of|net::ERR_)")


@pytest_asyncio.fixture
async def site(database_url: str, redis_url: str, shop: DatabaseFixture) -> AsyncIterator[Site]:
    """A web process whose cookies a browser sends over plain HTTP, and an operator."""
    async with serving(database_url, redis_url, shop, PUBLIC_URL="http://127.0.0.1") as site:
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


class Person:
    """Somebody with a browser: one window, and everything its console complained of."""

    def __init__(self, site: Site, page: Page) -> None:
        self.site = site
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def open(self, path: str) -> None:
        await self.page.goto(str(self.site.client.make_url(path)))

    async def sign_in(self) -> None:
        await self.open("/login")
        await self.page.fill("#email", EMAIL)
        await self.page.fill("#password", PASSWORD)
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url(re.compile("/$"))

    def _heard(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not EXPECTED.match(text):
            self.complaints.append(text)


async def meet(site: Site, browser: Browser, **settings: object) -> tuple[BrowserContext, Person]:
    """A new window, signed in."""
    context = await browser.new_context(**{"locale": "en-US", **settings})  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    person = Person(site, await context.new_page())
    await person.sign_in()
    return context, person


@pytest_asyncio.fixture
async def person(site: Site, browser: Browser) -> AsyncIterator[Person]:
    """An operator who has signed in, and whose browser found nothing to complain of at the end."""
    context, person = await meet(site, browser)
    yield person
    await context.close()
    assert person.complaints == []
