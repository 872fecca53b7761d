"""Every page of the console, found in the routes of the web process: a new page needs no line here."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.async_api import BrowserContext

    from tests.web_site import Site

# A part of an address that is filled in: its name, and what it may be.
PART = re.compile(r"\(\?P<(\w+)>((?:[^()]|\([^()]*\))+)\)")
ANYTHING = "[^{}/]+"
# These are no pages, or end the session.
BESIDE = ("/static/", "/api/", "/healthz", "/readyz", "/metrics", "/logout")
DOCUMENT = "<!doctype html"
# Pages that show more with a query.
QUERIES = ("/runs?status=failed", "/runs/{run_id}?outcome=busy", "/do-not-call?search=05", "/runs/99999")


def addresses(site: Site, ids: Mapping[str, int]) -> list[str]:
    """Every address that is served to GET and can be filled with these ids."""
    router = site.client.server.app.router  # type: ignore[attr-defined]
    found = {
        address
        for route in router.routes()
        if route.method == "GET" and route.resource
        for address in _filled(route.resource.get_info(), ids)
    }
    queries = {query.format(**ids) for query in QUERIES if set(re.findall(r"\{(\w+)\}", query)) <= ids.keys()}
    return sorted(address for address in found | queries if not address.startswith(BESIDE))


async def every_page(site: Site, context: BrowserContext, ids: Mapping[str, int]) -> list[str]:
    """Those of them that are whole pages to whoever is signed in; the others are fragments and files."""
    pages = []
    for address in addresses(site, ids):
        answer = await context.request.get(str(site.client.make_url(address)))
        if (await answer.body())[: len(DOCUMENT)].decode(errors="replace").lower() == DOCUMENT:
            pages.append(address)
    return pages


def _filled(info: Mapping[str, object], ids: Mapping[str, int]) -> Iterator[str]:
    if "path" in info:
        yield str(info["path"])
    elif "formatter" in info and "pattern" in info:
        parts = PART.findall(info["pattern"].pattern)  # type: ignore[attr-defined]
        choices = [[str(ids[name])] if name in ids else [] if shape == ANYTHING else shape.split("|") for name, shape in parts]
        for chosen in product(*choices):
            yield str(info["formatter"]).format(**{name: value for (name, _), value in zip(parts, chosen, strict=True)})
