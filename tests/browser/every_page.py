"""Every page of the console, found in the routes of the web process: a new page needs no line here."""

from __future__ import annotations

import re
from http import HTTPStatus
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.browser_session import BrowserSession
    from tests.web_site import Site

# A part of an address that is filled in: its name, and what it may be.
PART = re.compile(r"\(\?P<(\w+)>((?:[^()]|\([^()]*\))+)\)")
ANYTHING = "[^{}/]+"
# These are no pages, or end the session.
BESIDE = ("/static/", "/api/", "/healthz", "/readyz", "/metrics", "/logout")
DOCUMENT = "<!doctype html"
# Pages that show more with a query.
MISSING = "/runs/99999"
QUERIES = ("/runs?status=failed", "/runs/{run_id}?outcome=busy", "/do-not-call?search=05", MISSING)


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


async def every_page(site: Site, session: BrowserSession, ids: Mapping[str, int]) -> dict[str, str]:
    """Those that are whole pages to whoever is signed in, with their text; others are fragments, files, and what is forbidden."""
    pages = {}
    for address in addresses(site, ids):
        answer = await session.get(address)
        text = answer.body.decode(errors="replace")
        if text[: len(DOCUMENT)].lower() == DOCUMENT and (answer.status == HTTPStatus.OK or address == MISSING):
            pages[address] = text
    return pages


def _filled(info: Mapping[str, object], ids: Mapping[str, int]) -> Iterator[str]:
    if "path" in info:
        yield str(info["path"])
    elif "formatter" in info and "pattern" in info:
        parts = PART.findall(info["pattern"].pattern)  # type: ignore[attr-defined]
        choices = [[str(ids[name])] if name in ids else [] if shape == ANYTHING else shape.split("|") for name, shape in parts]
        for chosen in product(*choices):
            yield str(info["formatter"]).format(**{name: value for (name, _), value in zip(parts, chosen, strict=True)})
