"""The health of all businesses, the worst first; with `?only=trouble` those alone that need somebody, for a screen on a wall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from web.operations.installation.business_health import read_health
from web.pages import frame
from web.server.error_responses import said

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.operations.installation.business_health import BusinessHealth

MOST: Final = 500


async def page(request: http.Request) -> http.Response:
    """The whole page."""
    return await frame.render(request, "installation/health.html", **await _values(request))


async def fragment(request: http.Request) -> http.Response:
    """What changes, for a page that is open."""
    return await frame.render(request, "installation/health_state.html", **await _values(request))


async def _values(request: http.Request) -> dict[str, Any]:
    health = await read_health(request)
    only = request.query.get("only") == "trouble"
    troubled = [one for one in health.businesses if one.problems]
    shown = (troubled if only else health.businesses)[:MOST]
    return {
        "health": health,
        "only_trouble": only,
        "troubled": len(troubled),
        "businesses": [(one, _problems(request, one)) for one in shown],
        "unshown": len(troubled if only else health.businesses) - len(shown),
        "fragment": "/health/fragment?only=trouble" if only else "/health/fragment",
    }


def _problems(request: http.Request, one: BusinessHealth) -> list[tuple[str, Any, bool]]:
    return [(said(request, problem.text), problem.since, problem.is_bad) for problem in one.problems]
