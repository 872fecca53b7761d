"""Debian's Chromium for a benchmark: signed in, with an empty cache."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from playwright.async_api import async_playwright

from benchmarks.machine import MissingError
from dialer.model import Role
from sql.commands.requests import request_by
from sql.users.users import NewUser, Users

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext

    from benchmarks.system import System

EMAIL, PASSWORD = "bench@example.com", "correct horse battery"
PATIENCE_MILLISECONDS = 120_000


async def add_user(system: System, business_id: int) -> None:
    """Add the person who looks at the pages of this business."""
    hashed = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    await Users(system.pool).create(business_id, NewUser(EMAIL, Role.OPERATOR, hashed), request_by("bench"))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser.

    Raises:
        MissingError: when there is no Chromium.
    """
    path = shutil.which("chromium")
    if path is None:
        message = "there is no chromium on PATH; on Debian: apt-get install chromium"
        raise MissingError(message)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            await browser.close()


async def signed_in(system: System, browser: Browser, locale: str) -> BrowserContext:
    """A window's cookies, without a page: nothing is in its cache."""
    context = await browser.new_context(locale=locale, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    url = f"{system.environment['PUBLIC_URL']}/login"
    headers = {"Sec-Fetch-Site": "same-origin"}
    answer = await context.request.post(url, form={"email": EMAIL, "password": PASSWORD, "next": "/settings/me"}, headers=headers)
    if not answer.ok or not answer.url.endswith("/settings/me"):
        message = f"signing in answered {answer.status} at {answer.url}"
        raise RuntimeError(message)
    return context
