"""The page of one lead in its run: every call to it, with everything the provider reported about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.messages import CommandType
from dialer.model import JobStatus, Role
from web.access.auth import require_principal
from web.operations.commands import submit
from web.operations.explanations.call_explanation import explain_call
from web.operations.jobs import attempts_of, job_ids, requested_job
from web.operations.reports.why import why
from web.operations.runs import is_live, requested_run
from web.pages import forms, frame
from web.pages.job.timeline import timeline_of
from web.server import i18n
from web.server.error_responses import said
from web.server.errors import ApiError
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.commands.commands import Answer
    from web.access.auth import Principal
    from web.operations.reports.why import Reason

NOTICES: Final = {
    "cancelled": msgid("This lead will not be called."),
    "hung_up": msgid("The call is being hung up."),
    "ended": msgid("This lead was already finished; nothing was changed."),
}
IN_PROGRESS: Final = msgid("This lead is on the line now. To end the call, hang up.")
# A lead that has had its outcome needs no reason.
EXPLAINED: Final = frozenset({JobStatus.QUEUED, JobStatus.SKIPPED})
CANCELLABLE: Final = frozenset({JobStatus.QUEUED, JobStatus.DIALING, JobStatus.CALLING})


async def page(request: http.Request) -> http.Response:
    """The whole page."""
    values = await _values(request, require_principal(request))
    notice = NOTICES.get(request.query.get("done", ""))
    return await frame.render(
        request,
        "job.html",
        live=not values["over"],
        notice=i18n.sentence(request, notice) if notice else "",
        error=i18n.sentence(request, IN_PROGRESS) if request.query.get("refused") else "",
        **values,
    )


async def fragment(request: http.Request) -> http.Response:
    """The page without its frame, for a page that is open."""
    return await frame.render(request, "job_state.html", **await _values(request, require_principal(request)))


async def cancel(request: http.Request) -> http.Response:
    """Cancel this lead, or hang up its call."""
    require_principal(request, Role.OPERATOR)
    form = await forms.read(request)
    run_id, job_id = job_ids(request)
    page = f"/runs/{run_id}/jobs/{job_id}"
    try:
        answer = await submit(request, CommandType.CANCEL_JOB, run_id, job_id=job_id, hang_up=form.get("hang_up") == "1")
    except ApiError as error:
        return forms.redirect_conflict(error, page)
    return forms.redirect(f"{page}?done={_outcome(answer)}")


def _outcome(answer: Answer) -> str:
    if answer.in_progress:
        return "hung_up"
    return "cancelled" if answer.job_status == JobStatus.CANCELLED else "ended"


async def _values(request: http.Request, principal: Principal) -> dict[str, Any]:
    run = await requested_run(request, principal)
    _, job = await requested_job(request, principal)
    attempts = await attempts_of(request, principal, run.run_id, job.job_id)
    return {
        "run": run,
        "over": not is_live(run),
        "job": job,
        "failure": _explained(request, job.error_code, job.error),
        "attempts": [
            {**attempt, "timeline": timeline_of(attempt), "explanation": _explained(request, attempt["error_code"], attempt["reason"])}
            for attempt in attempts
        ],
        "why": await _why(request, principal, run.run_id, job.job_id) if job.status in EXPLAINED else [],
        "on_the_line": JobStatus(job.status).in_progress,
        "can_cancel": job.status in CANCELLABLE,
    }


def _explained(request: http.Request, error_code: int | None, reason: str | None) -> str:
    """What became of a call, in words; empty when nothing is stored of it."""
    explanation = explain_call(error_code, reason)
    return said(request, explanation) if explanation else ""


async def _why(request: http.Request, principal: Principal, run_id: int, job_id: int) -> list[tuple[Reason, str]]:
    """The rules that keep the lead from being called, each with its sentence."""
    reasons = await why(request, principal.business_id, run_id, job_id)
    return [(reason, said(request, reason.sentence)) for reason in reasons]
