"""Ends one lead: leaves it out, hangs up its call, or takes a person's word on a call that the provider has not confirmed.

Asks what its calls have cost, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.messages import CommandType
from dialer.model import AttemptState, JobStatus, Role
from web.access.auth import require_principal
from web.operations.commands import submit
from web.operations.jobs import attempts_of, requested_job, resolve_job
from web.operations.reports.provider_prices import ask_prices
from web.operations.runs import requested_run
from web.pages import forms, frame, notices
from web.server import errors
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.jobs.jobs import Job
    from web.access.auth import Principal

LEAVE_OUT: Final = "leave_out"
HANG_UP: Final = "hang_up"
JUDGEMENTS: Final = {"over": msgid("The call is over."), "not_placed": msgid("The call was never placed; the lead is called again.")}
WAYS: Final = (LEAVE_OUT, HANG_UP, *JUDGEMENTS)
LEFT_OUT: Final = msgid("This lead will not be called.")
HANGING_UP: Final = msgid("The call is being hung up.")
ENDED: Final = msgid("This lead was already finished; nothing was changed.")
PRICE_NOT_KNOWN: Final = msgid("The provider does not know the price yet. Ask again in a few minutes.")
NOT_NOW: Final = msgid("This is not possible now. What you see below is up to date.")


async def form(request: http.Request) -> http.Response:
    """Ask what is to be done."""
    principal = require_principal(request, Role.OPERATOR)
    run, (_, job) = await requested_run(request, principal), await requested_job(request, principal)
    return await frame.render(request, "job_end.html", run=run, job=job, ways=await _ways(request, principal, job, run.run_id))


async def end(request: http.Request) -> http.Response:
    """Do it, and show the lead again."""
    principal = require_principal(request, Role.OPERATOR)
    how = (await forms.read(request)).get("how", "")
    run_id, job = await requested_job(request, principal)
    page = f"/runs/{run_id}/jobs/{job.job_id}"
    if how not in WAYS:
        raise errors.wrong_field(name="how", why=Text(msgid("must be one of {expected}"), {"expected": ", ".join(WAYS)}))
    try:
        if how in JUDGEMENTS:
            await resolve_job(request, principal, how)
            return notices.redirect(request, page, JUDGEMENTS[how])
        answer = await submit(request, CommandType.CANCEL_JOB, run_id, job_id=job.job_id, hang_up=how == HANG_UP)
    except ApiError as error:
        return notices.redirect_conflict(request, error, page, NOT_NOW)
    if answer.in_progress:
        return notices.redirect(request, page, HANGING_UP)
    return notices.redirect(request, page, LEFT_OUT if answer.job_status == JobStatus.CANCELLED else ENDED)


async def ask_price(request: http.Request) -> http.Response:
    """Ask the provider what the calls have cost, and show the lead again."""
    principal = require_principal(request, Role.OPERATOR)
    run_id, job = await requested_job(request, principal)
    found = await ask_prices(request, principal, run_id, job.job_id)
    page = f"/runs/{run_id}/jobs/{job.job_id}"
    return forms.redirect(page) if found else notices.redirect(request, page, PRICE_NOT_KNOWN, is_bad=True)


async def _ways(request: http.Request, principal: Principal, job: Job, run_id: int) -> list[str]:
    """What can be done with the lead now: `not_placed` only while the provider has not given the call an id, or knows it no more."""
    if not JobStatus(job.status).in_progress:
        return [LEAVE_OUT]
    attempts = await attempts_of(request, principal, run_id, job.job_id)
    newest = attempts[-1] if attempts else None
    if newest and newest["missing_since"]:
        return [*JUDGEMENTS, HANG_UP]
    if newest and newest["state"] == AttemptState.UNKNOWN and not newest["sid"]:
        return [*JUDGEMENTS, HANG_UP]
    return [HANG_UP]
