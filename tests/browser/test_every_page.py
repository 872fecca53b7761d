"""Every page, found by its route: accessible in both languages, schemes and widths, and no text of a business becomes a script."""

from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from dialer.model import Role
from sql.users.users import INSTALLATION
from tests.browser.axe import overflow, small_targets, too_wide_or_too_small, violations
from tests.browser.conftest import open_window
from tests.browser.every_page import every_page
from tests.browser.test_access import busy_run
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.contract.described_api import Operation, operations, resolved
from tests.contract.test_tenants_and_roles import ids_for, populated
from tests.web_site import hash_of
from web.server import i18n

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Browser

    from tests.browser.conftest import BrowserUser
    from tests.web_site import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
NARROW, NARROWEST, WIDE = 390, 320, 1440
# The narrowest window, and the first ones that have what a wider window has: those are tight.
TIGHT = (NARROWEST, 641, 901, 1100)


class Window(NamedTuple):
    """How a page is looked at."""

    language: str
    colours: str
    width: int


# For each state of the business; each pair of values is in one of them.
PAIRS = {
    "empty": [Window("he", "light", NARROW), Window("en", "dark", WIDE)],
    "full": [Window("en", "light", WIDE), Window("he", "dark", NARROW)],
    "trouble": [Window("en", "light", NARROW), Window("he", "dark", WIDE)],
}
WHOLE = "AXE_WHOLE" in os.environ
EVERY = [Window(*each) for each in product(("en", "he"), ("light", "dark"), (NARROW, WIDE))]
# A page without a stream of events.
QUIET = "/settings/me"
HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{7*7}}javascript:alert(3)'
SHOWN = "</script><script>alert(2)</script>{{"
# What the text has become in each of these pages, as a browser reads them.
FAULTS = """(texts) => texts.flatMap(([path, text]) => {
  const page = text === null ? document : new DOMParser().parseFromString(text, "text/html");
  const found = page.querySelector('img[src="x"], [onerror], a[href^="javascript:" i]') ? [`${path}: an element`] : [];
  return page.body.textContent.includes("49javascript") ? [...found, `${path}: evaluated`] : found;
})"""


async def make_admin(site: Site) -> None:
    await site.database.pool.execute("UPDATE dialer.users SET role = 'admin' WHERE email = $1", EMAIL)


async def move_to(state: str, site: Site, ids: dict[str, int]) -> dict[str, int]:
    """Bring the business from one state into the next; the ids of what there is to look at."""
    if state == "full":
        ids = await populated(site, "admin")
        run_id, job_id = await busy_run(site)
        return {**ids, "run_id": run_id, "job_id": job_id}
    if state == "trouble":
        await site.post("/api/stop-dialling", {"reason": "The script is wrong"})
    return ids


async def look_in(user: BrowserUser, window: Window) -> None:
    """Make the page of this user such a window."""
    address = str(user.site.client.make_url("/"))
    await user.page.context.add_cookies([{"name": i18n.COOKIE, "value": window.language, "url": address}])
    await user.page.emulate_media(color_scheme="dark" if window.colours == "dark" else "light")
    await user.page.set_viewport_size({"width": window.width, "height": 740 if window.width < WIDE else 900})


async def look_at(user: BrowserUser, window: Window, paths: list[str]) -> list[str]:
    """What is wrong with these pages in this window."""
    await look_in(user, window)
    found = []
    for path in paths:
        await user.open(path)
        assert user.page.url.endswith(path)
        found += await violations(user.page)
        wide = await overflow(user.page)
        found += [f"{path} scrolls sideways by {wide} px"] * bool(wide)
        found += await small_targets(user.page)
    return found


async def look_where_it_is_tight(user: BrowserUser, language: str, paths: list[str]) -> list[str]:
    """Which of these pages scroll sideways from 320 px on, or have targets below 24 px."""
    found = []
    for width in TIGHT:
        await look_in(user, Window(language, "light", width))
        await user.open(QUIET)
        found += [f"{fault} ({width} px)" for fault in await too_wide_or_too_small(user.page, paths)]
    return found


def shares(state: str, pages: list[str], of_anybody: list[str]) -> list[list[str]]:
    """For each window of this state the pages that axe gets.

    In the usual run each page goes to it once: those that an empty business has too in one of the six windows, the others in one of four.
    """
    windows = [(name, turn) for name, pairs in PAIRS.items() for turn in range(len(pairs))]
    return [
        [
            *of_anybody[windows.index((state, turn)) :: 6],
            *[path for path in pages if path not in of_anybody][windows.index((state, turn)) - 2 :: 4],
        ]
        for turn in range(len(PAIRS[state]))
    ]


async def test_every_page_is_accessible_and_none_scrolls_sideways(site: Site, browser: Browser) -> None:
    """`make axe` gives every page to axe in all eight windows, empty, full and in trouble."""
    await make_admin(site)
    context, user = await open_window(site, browser)
    session = BrowserSession(site)
    await session.sign_in()
    ids: dict[str, int] = {}
    of_anybody: list[str] = []
    found: list[str] = []
    for state, pairs in PAIRS.items():
        ids = await move_to(state, site, ids)
        pages = list(await every_page(site, session, ids))
        of_anybody = of_anybody or pages
        assert len(pages) >= (20 if ids else 10)
        parts = [pages] * len(EVERY) if WHOLE else shares(state, pages, of_anybody)
        for window, paths in zip(EVERY if WHOLE else pairs, parts, strict=True):
            found += await look_at(user, window, paths)
        for language in ("en", "he") if WHOLE else ("he",) if state == "full" else ():
            found += await look_where_it_is_tight(user, language, pages)
    found += await installation_pages(site, user)
    await context.close()
    assert not found, "\n".join(sorted(found))
    assert user.console_errors == []


async def installation_pages(site: Site, user: BrowserUser) -> list[str]:
    """What is wrong with the pages of whoever operates the installation."""
    await site.database.user(INSTALLATION, "ops@example.com", Role.ADMIN, hash_of(PASSWORD))
    session = BrowserSession(site)
    await session.sign_in("ops@example.com")
    await user.take(session)
    pages = [path for path in await every_page(site, session, {}) if path in {"/health", "/rejected", "/settings/me"}]
    assert len(pages) == 3
    found = []
    for window in EVERY if WHOLE else [Window("he", "light", NARROW)]:
        found += await look_at(user, window, pages)
    return found


def texts_of(operation: Operation) -> Iterator[tuple[str, ...]]:
    """Where in its body an operation takes any text: the names that lead there; the number of an item is left out."""
    yield from _texts(operation.body_schema or {}, ())


def _texts(schema: dict[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    schema = resolved(schema)
    kinds = schema.get("type", ())
    if "string" in ([kinds] if isinstance(kinds, str) else kinds) and not {"enum", "format", "pattern", "const"} & schema.keys():
        yield names
    for name, inner in schema.get("properties", {}).items():
        yield from _texts(inner, (*names, name))
    if "items" in schema and len(names) < 3:
        yield from _texts(schema["items"], (*names, "0"))


def with_text(body: Any, names: tuple[str, ...]) -> Any:  # noqa: ANN401 any JSON
    """The body with the hostile text at this place."""
    if not names:
        return HOSTILE
    name, *rest = names
    if name == "0":
        return [with_text(body[0] if body else None, tuple(rest))]
    return {**(body or {}), name: with_text((body or {}).get(name), tuple(rest))}


async def enter_everywhere(site: Site, ids: dict[str, int]) -> int:
    """Send the hostile text in every text that an operation takes; return how many were accepted."""
    accepted = 0
    for operation in operations():
        if operation.role is None or operation.method == "DELETE" or not set(operation.ids) <= ids_for(operation, ids).keys():
            continue
        for names in texts_of(operation):
            path = operation.filled(ids_for(operation, ids))
            body = with_text(operation.body(ids_for(operation, ids)), names)
            answer = await site.request(operation.method, path, token="admin", json=body)
            assert answer.status < 500, f"{operation} {names}"
            accepted += answer.status < 300
    return accepted


async def test_no_text_of_a_business_becomes_a_script(site: Site, browser: Browser) -> None:
    await make_admin(site)
    ids = await populated(site, "admin")
    assert await enter_everywhere(site, ids) >= 10
    lead = {"lead_id": HOSTILE, "phone": "+972521234567", "name": HOSTILE, "variables": {HOSTILE: HOSTILE}}
    ids["run_id"] = (await site.post("/api/outbound/runs", {"name": HOSTILE, "leads": [lead], "start": True})).json["run_id"]
    [job] = (await site.get(f"/api/outbound/runs/{ids['run_id']}/jobs")).json["items"]
    ids["job_id"] = job["job_id"]
    context, user = await open_window(site, browser)
    session = BrowserSession(site)
    await session.sign_in()
    faults, shown = await look_for_scripts(user, await every_page(site, session, ids))
    await context.close()
    assert faults == []
    assert shown >= {"/", "/runs", f"/runs/{ids['run_id']}", f"/runs/{ids['run_id']}/jobs/{ids['job_id']}"}, "the text is there, as text"
    assert user.console_errors == []


async def look_for_scripts(user: BrowserUser, pages: dict[str, str]) -> tuple[list[str], set[str]]:
    """What the text has become on any page, and the pages that show it as text: those are opened, and their scripts run."""
    await user.open(QUIET)
    faults = list(await user.page.evaluate(FAULTS, list(pages.items())))
    shown = set()

    async def dismiss(dialog: Any) -> None:  # noqa: ANN401 of Playwright
        faults.append(f"{user.page.url}: a dialog")
        await dialog.dismiss()

    user.page.on("dialog", dismiss)
    for path, text in pages.items():
        if "alert(2)" in text:
            await user.open(path)
            faults += await user.page.evaluate(FAULTS, [[path, None]])
            if SHOWN in await user.page.evaluate("document.body.textContent"):
                shown.add(path)
    return faults, shown
