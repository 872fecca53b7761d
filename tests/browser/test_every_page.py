"""Every page, found by its route: accessible in both languages, schemes and widths, and no text of a business becomes a script."""

from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.browser.conftest import open_window
from tests.browser.every_page import every_page
from tests.browser.test_access import RULES, busy_run, overflow
from tests.browser_session import EMAIL
from tests.contract.described_api import Operation, operations, resolved
from tests.contract.test_tenants_and_roles import ids_for, populated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Browser, BrowserContext, Page

    from tests.browser.conftest import BrowserUser
    from tests.web_site import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
NARROW, NARROWEST = 390, 320
# Language, colours and width of a window, for each state of the business; each pair of values is in one of them.
PAIRS = {
    "full": [("en-US", "light", 1440), ("he-IL", "dark", NARROW)],
    "empty": [("he-IL", "light", NARROW), ("en-US", "dark", 1440)],
    "trouble": [("en-US", "light", NARROW), ("he-IL", "dark", 1440)],
}
WHOLE = "AXE_WHOLE" in os.environ
EVERY = list(product(("en-US", "he-IL"), ("light", "dark"), (NARROW, 1440)))
QUICK: dict[str, Any] = {**RULES, "resultTypes": ["violations"]}
HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>{{7*7}}javascript:alert(3)'
SHOWN = "</script><script>alert(2)</script>{{"


async def make_admin(site: Site) -> None:
    await site.database.pool.execute("UPDATE dialer.users SET role = 'admin' WHERE email = $1", EMAIL)


async def ids_in(state: str, site: Site) -> dict[str, int]:
    """Bring the business into this state; the ids of what there is to look at."""
    if state == "empty":
        return {}
    ids = await populated(site, "admin")
    run_id, job_id = await busy_run(site)
    if state == "trouble":
        await site.post("/api/stop-dialling", {"reason": "The script is wrong"})
    return {**ids, "run_id": run_id, "job_id": job_id}


async def violations(page: Page) -> list[str]:
    found = (await Axe().run(page, options=QUICK)).response["violations"]
    return [f"{page.url} {item['id']}: {', '.join(str(node['target']) for node in item['nodes'])[:200]}" for item in found]


async def too_wide(page: Page, width: int) -> list[str]:
    """Whether a page scrolls sideways; what is narrow is tried at its narrowest."""
    if width == NARROW:
        await page.set_viewport_size({"width": NARROWEST, "height": 740})
    wide = await overflow(page)
    if width == NARROW:
        await page.set_viewport_size({"width": NARROW, "height": 740})
    return [f"{page.url} scrolls sideways by {wide} px"] * bool(wide)


def chosen(pages: list[str], state: str, turn: int) -> list[str]:
    """Those that are given to axe in this window: in the usual run each is, in one of the six."""
    return pages if WHOLE else pages[2 * list(PAIRS).index(state) + turn :: 6]


@pytest.mark.parametrize("state", PAIRS)
async def test_every_page_is_accessible_and_none_scrolls_sideways(site: Site, browser: Browser, state: str) -> None:
    """`make axe` gives every page to axe in all eight windows; no page may scroll in any."""
    await make_admin(site)
    ids = await ids_in(state, site)
    found = []
    for turn, (locale, scheme, width) in enumerate(EVERY if WHOLE else PAIRS[state]):
        context, user = await open_window(
            site, browser, locale=locale, color_scheme=scheme, viewport={"width": width, "height": 740 if width == NARROW else 900}
        )
        pages = await every_page(site, context, ids)
        assert len(pages) >= 10
        for_axe = chosen(pages, state, turn)
        for path in pages if WHOLE or (width, state) == (NARROW, "full") else for_axe:
            await user.open(path)
            found += await too_wide(user.page, width)
            found += await violations(user.page) if path in for_axe else []
        await context.close()
        assert user.console_errors == []
    assert sorted(found) == []


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
    faults, shown = await look_for_scripts(site, context, user, ids)
    await context.close()
    assert faults == []
    assert shown >= {"/", "/runs", f"/runs/{ids['run_id']}", f"/runs/{ids['run_id']}/jobs/{ids['job_id']}"}, "the text is there, as text"
    assert user.console_errors == []


async def look_for_scripts(site: Site, context: BrowserContext, user: BrowserUser, ids: dict[str, int]) -> tuple[list[str], set[str]]:
    """What the text has become on any page, and the pages that show it as text."""
    faults, shown = [], set()

    async def dismiss(dialog: Any) -> None:  # noqa: ANN401 of Playwright
        faults.append(f"{user.page.url}: a dialog")
        await dialog.dismiss()

    user.page.on("dialog", dismiss)
    for path in await every_page(site, context, ids):
        await user.open(path)
        if await user.page.locator('img[src="x"], [onerror], a[href^="javascript:" i]').count():
            faults.append(f"{path}: an element")
        text = await user.page.locator("body").inner_text()
        if "49javascript" in text:
            faults.append(f"{path}: evaluated")
        if SHOWN in text:
            shown.add(path)
    return faults, shown
