"""The page of one lead in its run: every call to it, with everything the provider reported about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.model import JobStatus, Outcome
from web.access.auth import require_principal
from web.operations.explanations.call_explanation import explain_attempt, explain_call
from web.operations.jobs import attempts_of, requested_job
from web.operations.reports.why import why
from web.operations.runs import is_live, requested_run
from web.pages import frame
from web.pages.job.call_sentence import call_sentence
from web.pages.job.timeline import timeline_of
from web.pages.job.track import track_of
from web.server import keys
from web.server.error_responses import said, translated

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.access.auth import Principal
    from web.operations.reports.why import Reason
    from web.server.errors import Text

MAX_OTHERS: Final = 20
# A lead that has had its outcome needs no reason.
EXPLAINED: Final = frozenset(JobStatus) - {JobStatus.COMPLETED, JobStatus.FAILED}
CANCELLABLE: Final = frozenset({JobStatus.QUEUED, JobStatus.DIALING, JobStatus.CALLING})


async def page(request: http.Request) -> http.Response:
    """The whole page."""
    values = await _values(request, require_principal(request))
    return await frame.render(request, "job.html", live=not values["over"], **values)


async def fragment(request: http.Request) -> http.Response:
    """The page without its frame, for a page that is open."""
    return await frame.render(request, "job_state.html", **await _values(request, require_principal(request)))


async def _values(request: http.Request, principal: Principal) -> dict[str, Any]:
    run = await requested_run(request, principal)
    _, job = await requested_job(request, principal)
    attempts = await attempts_of(request, principal, run.run_id, job.job_id)
    history = request.app[keys.CALL_HISTORY]
    return {
        "variables": await history.variables(principal.business_id, run.run_id, job.position),
        "others": await history.of_phone(principal.business_id, job.phone or "", besides_job=job.job_id, limit=MAX_OTHERS),
        "run": run,
        "over": not is_live(run),
        "job": job,
        "failure": _said(request, explain_call(job.error_code, job.error)),
        "attempts": [
            {
                **attempt,
                "hanger": translated(request, attempt["hanger"]) if attempt["hanger"] else None,
                "timeline": timeline_of(attempt),
                "track": track_of(attempt),
                "sentence": _said(request, call_sentence(attempt)),
                "explanation": _said(request, explain_attempt(attempt)),
            }
            for attempt in attempts
        ],
        # Twilio charges for these, and says how much when it is asked.
        "unpriced": sum(
            attempt["outcome"] == Outcome.COMPLETED and attempt["sid"] is not None and attempt["price"] is None for attempt in attempts
        ),
        "why": await _why(request, principal, run.run_id, job.job_id) if job.status in EXPLAINED else [],
        "on_the_line": JobStatus(job.status).in_progress,
        "can_end": job.status in CANCELLABLE,
        "base": request.app[keys.SETTINGS].public_url,
    }


def _said(request: http.Request, explanation: Text | None) -> str:
    """What became of a call, in words; empty when nothing is stored of it."""
    return said(request, explanation) if explanation else ""


async def _why(request: http.Request, principal: Principal, run_id: int, job_id: int) -> list[tuple[Reason, str]]:
    """The rules that keep the lead from being called, each with its sentence."""
    reasons = await why(request, principal.business_id, run_id, job_id)
    return [(reason, said(request, reason.sentence)) for reason in reasons]
