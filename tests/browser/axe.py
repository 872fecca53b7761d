"""axe in a page: the rules of WCAG 2.2 AA, and what is best practice.

The site under test serves axe: a browser keeps a script that it fetched, compiled, and it need not be sent to each page anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from axe_playwright_python.async_playwright import Axe

from web.pages import assets

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.web_site import Site

NAME, VERSION = "axe.js", "1"
OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
    # Our pages have no frames, and no rule of these reads style sheets.
    "iframes": False,
    "preload": False,
}
RUN = """async ([part, options]) => (await axe.run(part, options)).violations.map(
    (found) => `${found.id}: ${found.nodes.map((node) => node.target).join(", ").slice(0, 300)}`)"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Targets with a side below 24 px. WCAG 2.5.8 leaves out links within a sentence; what is drawn for readers of screens alone has no size.
# A label is a part of the target of its field.
SMALL = """() => {
  const found = [];
  for (const element of document.querySelectorAll("a[href], button, summary, select, textarea, input:not([type=hidden]), [role=button]")) {
    if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(".said-only, [inert]")) continue;
    const sentence = [...element.parentElement.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim().length > 1);
    if (element.matches("a, button.plain") && sentence && getComputedStyle(element).display === "inline") continue;
    // A link that is laid over its whole row is as large as the row.
    const over = getComputedStyle(element, "::after");
    const row = over.position === "absolute" && over.inset === "0px" ? [element.closest("li, tr")] : [];
    const boxes = [element, ...row, ...(element.labels ?? [])].map((part) => part.getBoundingClientRect());
    if (boxes[0].width <= 1 && boxes.length === 1) continue;
    if (!boxes.some((box) => box.width >= 23.5 && box.height >= 23.5)) {
      const [box] = boxes;
      const name = element.id ? `#${element.id}` : `${element.localName}.${element.className} ${element.textContent.trim().slice(0, 30)}`;
      found.push(`${name} is ${Math.round(box.width)} x ${Math.round(box.height)} px`);
    }
  }
  return found;
}"""
# Shows each page in this document, without its scripts, at the width of the window; returns those that scroll sideways, and small targets.
SHOW_EACH = """async (paths) => {
  const found = [];
  for (const path of paths) {
    const page = new DOMParser().parseFromString(await (await fetch(path)).text(), "text/html");
    document.documentElement.dir = page.documentElement.dir;
    document.documentElement.lang = page.documentElement.lang;
    const known = [...document.querySelectorAll("link[rel=stylesheet]")].map((sheet) => sheet.getAttribute("href"));
    for (const sheet of page.querySelectorAll("link[rel=stylesheet]")) {
      if (known.includes(sheet.getAttribute("href"))) continue;
      await new Promise((resolve) => { sheet.addEventListener("load", resolve); document.head.append(document.adoptNode(sheet)); });
    }
    document.body.replaceWith(document.adoptNode(page.body));
    await document.fonts.ready;
    const by = WIDER;
    if (by > 0) found.push(`${path} scrolls sideways by ${by} px`);
    found.push(...(SMALL)().map((target) => `${path}: ${target}`));
  }
  return found;
}""".replace("WIDER", WIDER).replace("SMALL", SMALL)


def serve_axe(site: Site) -> None:
    """Add axe to the static files of a site, for as long as a browser may keep it."""
    kept = site.client.server.app[assets.ASSETS]  # type: ignore[attr-defined] # the test client's type knows no application
    kept[NAME] = assets.Asset(Axe().axe_script.encode(), None, assets.TYPES[".js"], VERSION)


async def violations(page: Page, part: str = "html") -> list[str]:
    """What axe finds in this part of a page as it is shown now."""
    if not await page.evaluate("'axe' in window"):
        await page.add_script_tag(url=f"/static/{NAME}?v={VERSION}")
    return [f"{page.url} {found}" for found in await page.evaluate(RUN, [part, OPTIONS])]


async def overflow(page: Page) -> int:
    """By how many pixels the page overflows sideways."""
    return int(await page.evaluate(WIDER))


async def small_targets(page: Page) -> list[str]:
    """Targets of a page, as it is shown now, that are smaller than 24 px."""
    return [f"{page.url}: {found}" for found in await page.evaluate(SMALL)]


async def too_wide_or_too_small(page: Page, paths: list[str]) -> list[str]:
    """Which of these pages scroll sideways, and their targets below 24 px; the window's page must be one of the site, and is lost."""
    return [str(found) for found in await page.evaluate(SHOW_EACH, paths)]
