"""The page of one run: its progress, the calls on the line, why it waits, and its leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.model import RunStatus
from web.access.auth import require_principal
from web.operations.explanations.pause_explanation import explain_pause
from web.operations.reports.waits_for import SHOWN_ELSEWHERE, WaitReason, outage_since, waits_for
from web.operations.runs import is_live, requested_run
from web.pages import frame
from web.pages.run.activity import run_activity
from web.pages.run.run_actions import ACTIONS, error_after, notice_after
from web.pages.run.run_leads import chosen_status, leads_values
from web.server import i18n, keys
from web.server.error_responses import said
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web as http

    from sql.runs.runs import Run
    from web.access.auth import Principal
    from web.operations.reports.waits_for import Wait

IDLE_TEXTS: Final = {
    RunStatus.RUNNING: msgid("No calls on the line right now."),
    RunStatus.PAUSED: msgid("The campaign is paused; no calls on the line."),
}


async def page(request: http.Request) -> http.Response:
    """The whole page."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    values = {**await _state_values(request, principal, run), **await leads_values(request, principal, run)}
    notice, error = notice_after(request), error_after(request)
    return await frame.render(request, "run.html", live=is_live(run), notice=notice, error=error, **values)


async def state_fragment(request: http.Request) -> http.Response:
    """State, buttons, counts and calls, for a page that is open."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    return await frame.render(request, "run_state.html", **await _state_values(request, principal, run))


async def leads_fragment(request: http.Request) -> http.Response:
    """A page of the leads, for a page that is open."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    return await frame.render(request, "run_leads.html", **await leads_values(request, principal, run))


async def _state_values(request: http.Request, principal: Principal, run: Run) -> dict[str, Any]:
    calls = await request.app[keys.JOBS].on_the_line(principal.business_id, run.run_id)
    waits = await waits_for(request, run)
    return {
        "run": run,
        "over": not is_live(run),
        "calls": calls,
        "outage_since": outage_since(waits),
        "waits": _shown(request, waits),
        "pause_reason": _pause_reason(request, run, waits),
        "activity": await run_activity(request, principal, run.run_id),
        "actions": () if run.cancel_requested else ACTIONS.get(run.status, ()),
        "idle_text": i18n.sentence(request, IDLE_TEXTS.get(run.status, IDLE_TEXTS[RunStatus.RUNNING])),
        "chosen": chosen_status(request),
    }


def _pause_reason(request: http.Request, run: Run, waits: Sequence[Wait]) -> str:
    """Why the run paused itself; empty when it did not, or when one of its waits says the same."""
    explanation = explain_pause(run.last_error, run.last_error_cause)
    return said(request, explanation) if explanation and not any(wait.reason is WaitReason.BUDGET for wait in waits) else ""


def _shown(request: http.Request, waits: Sequence[Wait]) -> list[tuple[Wait, str]]:
    """The waits that no other part of the page shows, each with its sentence."""
    shown = [wait for wait in waits if wait.reason not in SHOWN_ELSEWHERE]
    return [(wait, said(request, wait.sentence)) for wait in shown]
