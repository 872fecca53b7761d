"""The page of one run: its lines, its results, what happened, and its leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialer.model import RunStatus
from web.access.auth import require_principal
from web.operations.explanations.pause_explanation import explain_pause
from web.operations.reports.waits_for import SHOWN_ELSEWHERE, WaitReason, outage_since, waits_for
from web.operations.runs import is_live, requested_run
from web.operations.settings.business import own_business
from web.pages import frame, labels
from web.pages.run.chart import chart_of
from web.pages.run.feed import feed_of
from web.pages.run.lines import lines_of
from web.pages.run.results import results_of
from web.pages.run.run_actions import actions_of
from web.pages.run.run_leads import leads_values
from web.server.error_responses import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web as http

    from sql.runs.runs import Run
    from web.access.auth import Principal
    from web.operations.reports.waits_for import Wait


async def page(request: http.Request) -> http.Response:
    """The whole page."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    values = {
        **await _state_values(request, principal, run),
        **await _results_values(request, run),
        **await leads_values(request, principal, run),
        "feed": await feed_of(request, principal, run),
    }
    return await frame.render(request, "run.html", live=is_live(run), **values)


async def state_fragment(request: http.Request) -> http.Response:
    """State, buttons and lines, for a page that is open."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    return await frame.render(request, "run_state.html", **await _state_values(request, principal, run))


async def results_fragment(request: http.Request) -> http.Response:
    """The results, for a page that is open."""
    run = await requested_run(request, require_principal(request))
    return await frame.render(request, "run_results.html", **await _results_values(request, run))


async def feed_fragment(request: http.Request) -> http.Response:
    """What happened, for a page that is open."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    return await frame.render(request, "run_feed.html", run=run, feed=await feed_of(request, principal, run))


async def leads_fragment(request: http.Request) -> http.Response:
    """A page of the leads, for a page that is open."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    return await frame.render(request, "run_leads.html", **await leads_values(request, principal, run))


async def _state_values(request: http.Request, principal: Principal, run: Run) -> dict[str, Any]:
    business, waits = await own_business(request, principal), await waits_for(request.app, run)
    return {
        "run": run,
        "label": labels.run_label(run, waits),
        "over": not is_live(run),
        "lines": await lines_of(request, run, waits, total=business.max_calls),
        "outage_since": outage_since(waits),
        "waits": _shown(request, waits),
        "pause_reason": _pause_reason(request, run, waits),
        "actions": actions_of(run),
    }


async def _results_values(request: http.Request, run: Run) -> dict[str, Any]:
    return {"run": run, "results": await results_of(request, run), "chart": await chart_of(request, run)}


def _pause_reason(request: http.Request, run: Run, waits: Sequence[Wait]) -> str:
    """Why the run paused itself; empty when it did not, or when one of its waits says the same."""
    explanation = explain_pause(run.last_error, run.last_error_cause)
    shown = explanation and run.status is RunStatus.PAUSED and not any(wait.reason is WaitReason.BUDGET for wait in waits)
    return said(request, explanation) if explanation and shown else ""


def _shown(request: http.Request, waits: Sequence[Wait]) -> list[tuple[Wait, str]]:
    """The waits that no other part of the page shows, each with its sentence."""
    shown = [wait for wait in waits if wait.reason not in SHOWN_ELSEWHERE]
    return [(wait, said(request, wait.sentence)) for wait in shown]
