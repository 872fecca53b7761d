"""One run: how far it is, who is on the line, its leads, and the buttons that steer it.

On the road of a call: 1, the button that starts it; and after 7, where its calls are seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dialer.messages import CommandType
from dialer.model import Role, RunStatus
from sql.audit.audit import Audit
from web.access import auth
from web.api.runs import run_of
from web.operations.commands import submit
from web.operations.waits_for import SAID_ELSEWHERE, SENTENCES, waits_for
from web.pages import forms, frame, labels
from web.pages.runs import number
from web.server import i18n, inputs, keys
from web.server.errors import ApiError
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aiohttp import web as http

    from sql.audit.audit import AuditEntry
    from sql.jobs.jobs import Job
    from sql.runs.runs import Run
    from web.access.auth import Principal

PAGE_LEADS: Final = 50
MAX_DEEDS: Final = 20

ACTIONS: Final = {
    RunStatus.PENDING: ("start", "cancel"),
    RunStatus.RUNNING: ("pause", "cancel", "stop"),
    RunStatus.PAUSED: ("resume", "cancel", "stop"),
}
TOLD: Final = {
    "start": msgid("The run has started."),
    "pause": msgid("The run is paused: calls on the line go on, no further lead is called."),
    "resume": msgid("The run goes on."),
    "cancel": msgid("The run is being cancelled: no further lead is called."),
    "stop": msgid("The run has been stopped."),
    "ended": msgid("The run had ended already; nothing was changed."),
}
QUIET_LINE: Final = {
    RunStatus.RUNNING: msgid("No call is on the line at this moment."),
    RunStatus.PAUSED: msgid("The run is paused; no call is on the line."),
}


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """Somebody did something to the run; `label` is a msgid, `by` a person's e-mail address or a program's name."""

    label: str
    at: datetime
    by: str


class Place(NamedTuple):
    """Where a link leads: the address of the page, and of the fragment that shows the same."""

    page: str
    fragment: str


async def show(request: http.Request) -> http.Response:
    """The whole page."""
    who = auth.principal(request)
    run = await run_of(request, who)
    told = TOLD.get(request.query.get("done", ""), "")
    values = {**await _state(request, who, run), **await _leads(request, who, run)}
    return await frame.render(
        request,
        "run.html",
        live=is_live(run),
        told=i18n.sentence(request, told) if told else "",
        refused=i18n.sentence(request, NOT_NOW) if request.query.get("refused") else "",
        **values,
    )


async def fragment(request: http.Request) -> http.Response:
    """Status, buttons, counts and calls alone, for a page that is open."""
    who = auth.principal(request)
    return await frame.render(request, "run_state.html", **await _state(request, who, await run_of(request, who)))


async def leads(request: http.Request) -> http.Response:
    """A page of the leads alone."""
    who = auth.principal(request)
    return await frame.render(request, "run_leads.html", **await _leads(request, who, await run_of(request, who)))


async def ask(request: http.Request) -> http.Response:
    """The question before a run is cancelled or stopped, for a browser without scripts."""
    who = auth.principal(request, Role.OPERATOR)
    return await frame.render(request, "ask.html", run=await run_of(request, who), action=request.match_info["action"])


NOT_NOW: Final = msgid("This is not possible in the state the run is in now. What you see below is up to date.")
CONFLICT: Final = 409


async def act(request: http.Request) -> http.Response:
    """Do what a button says, and show the run again."""
    auth.principal(request, Role.OPERATOR)
    form = await forms.read(request)
    action = request.match_info["action"]
    there = f"/runs/{inputs.id_of(request, 'run_id')}"
    try:
        answer = await submit(request, CommandType(f"run.{action}"), inputs.id_of(request, "run_id"), hang_up=form.get("hang_up") == "1")
    except ApiError as error:
        if error.status != CONFLICT:
            raise
        return forms.lead_to(f"{there}?refused=1")
    return forms.lead_to(f"{there}?done={'ended' if answer.already_ended else action}")


def is_live(run: Run) -> bool:
    """True while anything of the run can still change."""
    return not run.status.ended or run.in_progress > 0


async def _state(request: http.Request, who: Principal, run: Run) -> dict[str, Any]:
    line = await request.app[keys.JOBS].on_the_line(who.business_id, run.run_id)
    deeds = await Audit(request.app[keys.POOL]).of_run(who.business_id, run.run_id, limit=MAX_DEEDS)
    waits = await waits_for(request, run)
    return {
        "run": run,
        "over": not is_live(run),
        "line": line,
        "waiting_since": next((wait.since for wait in waits if wait.reason == "provider_away"), None),
        "waits": [(wait, i18n.sentence(request, SENTENCES[wait.reason])) for wait in waits if wait.reason not in SAID_ELSEWHERE],
        "deeds": await _seen(request, who, deeds),
        "actions": () if run.cancel_requested else ACTIONS.get(run.status, ()),
        "quiet_line": i18n.sentence(request, QUIET_LINE.get(run.status, QUIET_LINE[RunStatus.RUNNING])),
        "chosen": _chosen(request),
    }


async def _seen(request: http.Request, who: Principal, deeds: Sequence[AuditEntry]) -> list[ActivityEntry]:
    """The deeds that changed the run itself, the oldest first."""
    names: dict[str, str] = {}
    seen = []
    for deed in reversed(deeds):
        if deed.action in labels.ACTION_WORDS and deed.job_id is None:
            if deed.actor not in names:
                names[deed.actor] = await _name(request, who, deed.actor)
            seen.append(ActivityEntry(labels.ACTION_WORDS[deed.action], deed.at, names[deed.actor]))
    return seen


async def _name(request: http.Request, who: Principal, actor: str) -> str:
    kind, _, digits = actor.partition(":")
    known = number(digits)
    if kind == "token" and known is not None:
        return i18n.sentence(request, msgid("a program with token {id}"), id=known)
    user = await request.app[keys.BUSINESSES].user(who.business_id, known) if kind == "user" and known is not None else None
    return user.email if user else actor


async def _leads(request: http.Request, who: Principal, run: Run) -> dict[str, Any]:
    chosen, outcome = _chosen(request), _outcome(request)
    after = number(request.query.get("after", "")) or 0
    statuses = labels.JOB_FILTERS.get(chosen)
    jobs = await request.app[keys.JOBS].page(
        who.business_id, run.run_id, statuses=statuses, outcome=outcome or None, after=after, limit=PAGE_LEADS + 1
    )
    shown = jobs[:PAGE_LEADS]
    query = {name: value for name, value in (("status", chosen), ("outcome", outcome)) if value}
    return {
        "run": run,
        "jobs": shown,
        "chosen": chosen,
        "outcome": outcome,
        "job_filters": tuple(labels.JOB_FILTERS),
        "outcomes": labels.OUTCOMES,
        "first": _place(request, run, query) if after else None,
        "next": _next(request, run, query, shown) if len(jobs) > PAGE_LEADS else None,
    }


def _next(request: http.Request, run: Run, query: dict[str, str], shown: Sequence[Job]) -> Place:
    return _place(request, run, {**query, "after": str(shown[-1].position)})


def _place(request: http.Request, run: Run, query: dict[str, str]) -> Place:
    page = request.rel_url.with_path(f"/runs/{run.run_id}").with_query(query)
    return Place(str(page), str(page.with_path(f"/runs/{run.run_id}/leads").with_query(query)))


def _chosen(request: http.Request) -> str:
    text = request.query.get("status", "")
    return text if text in labels.JOB_FILTERS else ""


def _outcome(request: http.Request) -> str:
    text = request.query.get("outcome", "")
    return text if text in labels.OUTCOMES else ""
