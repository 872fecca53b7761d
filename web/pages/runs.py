"""The list of runs, the newest first, filtered by the address.

On the road of a call: beside it; where a person looks for a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.messages import SERIAL_MAX
from dialer.model import RunStatus
from web.access import auth
from web.pages import frame, labels
from web.server import keys

if TYPE_CHECKING:
    from aiohttp import web as http

PAGE_RUNS: Final = 25


async def show(request: http.Request) -> http.Response:
    """The whole page."""
    return await frame.render(request, "runs.html", **await _values(request))


async def fragment(request: http.Request) -> http.Response:
    """The rows alone, for a page that is open."""
    return await frame.render(request, "runs_rows.html", **await _values(request))


async def _values(request: http.Request) -> dict[str, Any]:
    who = auth.principal(request)
    chosen = _status(request.query.get("status", ""))
    before = number(request.query.get("before", ""))
    statuses = [chosen] if chosen else None
    # One more than is shown tells whether there is an older page.
    runs = await request.app[keys.RUNS].page(who.business_id, statuses=statuses, before=before, limit=PAGE_RUNS + 1)
    shown = runs[:PAGE_RUNS]
    query = {"status": chosen} if chosen else {}
    here = request.rel_url.with_path("/runs")
    older = str(here.with_query({**query, "before": str(shown[-1].run_id)})) if len(runs) > PAGE_RUNS else ""
    return {
        "runs": shown,
        "chosen": chosen,
        "before": before,
        "filters": labels.RUN_FILTERS,
        "newest": str(here.with_query(query)),
        "older": older,
    }


def number(text: str) -> int | None:
    """A number of the address; None for anything else, as if it were not there."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(SERIAL_MAX)):
        return None
    return min(int(text), SERIAL_MAX)


def _status(text: str) -> str:
    return text if text in list(RunStatus) else ""
