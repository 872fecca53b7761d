"""The buttons of a run: start, pause, resume, cancel, stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.messages import CommandType
from dialer.model import Role, RunStatus
from web.access.auth import require_principal
from web.operations.commands import submit
from web.operations.runs import requested_run
from web.pages import forms, frame
from web.server import i18n, inputs
from web.server.errors import ApiError
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

ACTIONS: Final = {
    RunStatus.PENDING: ("start", "cancel"),
    RunStatus.RUNNING: ("pause", "cancel", "stop"),
    RunStatus.PAUSED: ("resume", "cancel", "stop"),
}
NOTICES: Final = {
    "start": msgid("The campaign has started."),
    "pause": msgid("The campaign is paused. Calls on the line continue; no new calls are placed."),
    "resume": msgid("The campaign has resumed."),
    "cancel": msgid("The campaign is being cancelled; no new calls are placed."),
    "stop": msgid("The campaign has been stopped."),
    "ended": msgid("The campaign had already ended; nothing was changed."),
}
NOT_NOW: Final = msgid("This is not possible in the campaign's current state. What you see below is up to date.")


async def confirmation(request: http.Request) -> http.Response:
    """The question before a run is cancelled or stopped, for a browser without scripts."""
    principal = require_principal(request, Role.OPERATOR)
    run = await requested_run(request, principal)
    return await frame.render(request, "confirm.html", run=run, action=request.match_info["action"])


async def perform(request: http.Request) -> http.Response:
    """Carry out the action of a button, and show the run again."""
    require_principal(request, Role.OPERATOR)
    form = await forms.read(request)
    action, run_id = request.match_info["action"], inputs.id_of(request, "run_id")
    page = f"/runs/{run_id}"
    try:
        answer = await submit(request, CommandType(f"run.{action}"), run_id, hang_up=form.get("hang_up") == "1")
    except ApiError as error:
        return forms.redirect_conflict(error, page)
    return forms.redirect(f"{page}?done={'ended' if answer.already_ended else action}")


def notice_after(request: http.Request) -> str:
    """What the last action did, for the page it redirected to; empty when there was none."""
    notice = NOTICES.get(request.query.get("done", ""))
    return i18n.sentence(request, notice) if notice else ""


def error_after(request: http.Request) -> str:
    """Why the last action was rejected, for the page it redirected to; empty when it was not."""
    return i18n.sentence(request, NOT_NOW) if request.query.get("refused") else ""
