"""One lead in its run: every attempt to call it, and everything the provider told us of each, as it came.

On the road of a call: after 7; the whole road of one call can be read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from dialer.messages import JOB_ID_MAX, CommandType
from dialer.model import AttemptState, JobStatus, Role
from web.access import auth
from web.api.runs import run_of
from web.operations.commands import missing_job, submit
from web.pages import forms, frame, labels
from web.pages.run import CONFLICT, is_live
from web.server import i18n, inputs, keys
from web.server.errors import ApiError
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import web as http

    from web.access.auth import Principal

# What we ourselves saw of an attempt, by the column that holds its time.
SEEN: Final = {
    "created_at": msgid("Written down, about to be placed"),
    "placed_at": msgid("Taken by the provider"),
    "ringing_at": msgid("Ringing"),
    "answered_at": msgid("Answered"),
    "hang_up_at": msgid("Asked to hang up"),
    "ended_at": msgid("Over"),
}
TOLD: Final = {
    "cancelled": msgid("This lead will not be called."),
    "hung_up": msgid("The call is being hung up."),
    "ended": msgid("This lead was done already; nothing was changed."),
}
IN_PROGRESS: Final = msgid("This lead is on the line by now. Hang up its call if it is to end.")
OPEN: Final = frozenset({JobStatus.QUEUED, JobStatus.DIALING, JobStatus.CALLING})


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to an attempt; `fields` are those of the callback that said so, None when we saw it ourselves."""

    at: datetime
    label: str
    fields: Mapping[str, object] | None = None
    verdict: str = ""
    answer: int = 0


async def show(request: http.Request) -> http.Response:
    """The whole page."""
    values = await _values(request, auth.principal(request))
    told = TOLD.get(request.query.get("done", ""), "")
    return await frame.render(
        request,
        "job.html",
        live=is_live(values["run"]),
        told=i18n.sentence(request, told) if told else "",
        refused=i18n.sentence(request, IN_PROGRESS) if request.query.get("refused") else "",
        **values,
    )


async def fragment(request: http.Request) -> http.Response:
    """The same without the frame, for a page that is open."""
    return await frame.render(request, "job_state.html", **await _values(request, auth.principal(request)))


async def cancel(request: http.Request) -> http.Response:
    """Do not call this lead, or hang up its call."""
    auth.principal(request, Role.OPERATOR)
    form = await forms.read(request)
    run_id, job_id = inputs.id_of(request, "run_id"), inputs.id_of(request, "job_id", JOB_ID_MAX)
    there = f"/runs/{run_id}/jobs/{job_id}"
    try:
        answer = await submit(request, CommandType.CANCEL_JOB, run_id, job_id=job_id, hang_up=form.get("hang_up") == "1")
    except ApiError as error:
        if error.status != CONFLICT:
            raise
        return forms.lead_to(f"{there}?refused=1")
    done = "hung_up" if answer.in_progress else "cancelled" if answer.job_status == JobStatus.CANCELLED else "ended"
    return forms.lead_to(f"{there}?done={done}")


async def _values(request: http.Request, who: Principal) -> dict[str, Any]:
    run = await run_of(request, who)
    job_id = inputs.id_of(request, "job_id", JOB_ID_MAX)
    store = request.app[keys.JOBS]
    job = await store.get(who.business_id, run.run_id, job_id)
    if job is None:
        raise await missing_job(request, who, job_id)
    attempts = await store.attempts(who.business_id, run.run_id, job_id)
    return {
        "run": run,
        "over": not is_live(run),
        "job": job,
        "attempts": [{**attempt, "story": sorted(_story(attempt), key=lambda step: step.at)} for attempt in attempts],
        "on_the_line": JobStatus(job.status).in_progress,
        "can_cancel": job.status in OPEN,
    }


def _story(attempt: Mapping[str, Any]) -> Iterator[Step]:
    for column, label in SEEN.items():
        if attempt[column] is not None:
            yield Step(_aware(attempt[column]), _ended_as(attempt) if column == "ended_at" else label)
    for callback in attempt["callbacks"]:
        fields = callback["fields"]
        said = labels.TWILIO_WORDS.get(str(fields.get("CallStatus")), msgid("Something else"))
        yield Step(callback["received_at"], said, fields, callback["verdict"], callback["answer"])


def _ended_as(attempt: Mapping[str, Any]) -> str:
    """An attempt that was not sent is over too, and should say which of the two."""
    return SEEN["ended_at"] if attempt["state"] == AttemptState.OVER else labels.STATE_LABELS[attempt["state"]]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
