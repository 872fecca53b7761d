"""The list of runs, the newest first, filtered by the query string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.model import RunStatus
from web.access.auth import require_principal
from web.operations.runs import list_runs
from web.pages import frame, labels
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from aiohttp import web as http

PAGE_RUNS: Final = 25


async def page(request: http.Request) -> http.Response:
    """The whole page."""
    return await frame.render(request, "runs.html", **await _values(request))


async def fragment(request: http.Request) -> http.Response:
    """The rows alone, for a page that is open."""
    return await frame.render(request, "runs_rows.html", **await _values(request))


async def _values(request: http.Request) -> dict[str, Any]:
    chosen = _chosen_status(request)
    before = optional_id(request.query.get("before", ""))
    statuses = [chosen] if chosen else None
    runs, more = await list_runs(request, require_principal(request), statuses=statuses, before=before, limit=PAGE_RUNS)
    query = {"status": chosen} if chosen else {}
    address = request.rel_url.with_path("/runs")
    return {
        "live": True,
        "runs": runs,
        "chosen": chosen,
        "before": before,
        "filters": labels.RUN_FILTERS,
        "newest": str(address.with_query(query)),
        "older": str(address.with_query({**query, "before": str(runs[-1].run_id)})) if more else "",
    }


def _chosen_status(request: http.Request) -> str:
    text = request.query.get("status", "")
    return text if text in list(RunStatus) else ""
