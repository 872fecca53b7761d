"""The buttons of a run: start, pause, resume, and end, in one of three ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.messages import CommandType
from dialer.model import Role, RunStatus
from web.access.auth import require_principal
from web.operations.commands import submit
from web.operations.runs import requested_run
from web.pages import forms, frame, notices
from web.server import errors, inputs
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.runs.runs import Run

START: Final = "start"
ACTIONS: Final = {
    RunStatus.PENDING: (START,),
    RunStatus.RUNNING: ("pause",),
    RunStatus.PAUSED: ("resume",),
}
NOTICES: Final = {
    "start": msgid("The campaign has started."),
    "pause": msgid("The campaign is paused. Calls on the line continue; no new calls are placed."),
    "resume": msgid("The campaign has resumed."),
    "cancel": msgid("The campaign is ending: no new calls are placed."),
    "stop": msgid("The campaign is over."),
    "ended": msgid("The campaign was over already; nothing was changed."),
}
NOT_NOW: Final = msgid("This is not possible in the campaign's current state. What you see below is up to date.")
# How a campaign can end: the command, and whether calls on the line are hung up.
WAYS: Final = {
    "finish": (CommandType.CANCEL, False),
    "now": (CommandType.STOP, False),
    "hang_up": (CommandType.STOP, True),
}


def actions_of(run: Run) -> tuple[str, ...]:
    """What can be done with a run, besides ending it."""
    return () if run.cancel_requested else ACTIONS.get(run.status, ())


async def perform(request: http.Request) -> http.Response:
    """Start, pause or resume the run, and show it again."""
    require_principal(request, Role.OPERATOR)
    back = (await forms.read(request)).get("back", "")
    return await _submit(request, CommandType(f"run.{request.match_info['action']}"), hang_up=False, back=back)


async def end_form(request: http.Request) -> http.Response:
    """Ask how the run is to end."""
    run = await requested_run(request, require_principal(request, Role.OPERATOR))
    return await frame.render(request, "run_end.html", run=run)


async def end(request: http.Request) -> http.Response:
    """End the run in the chosen way, and show it again."""
    await requested_run(request, require_principal(request, Role.OPERATOR))
    way = (await forms.read(request)).get("how", "")
    if way not in WAYS:
        raise errors.wrong_field(name="how", why=Text(msgid("must be one of {expected}"), {"expected": ", ".join(WAYS)}))
    command, hang_up = WAYS[way]
    return await _submit(request, command, hang_up=hang_up)


async def _submit(request: http.Request, command: CommandType, *, hang_up: bool, back: str = "") -> http.Response:
    run_id = inputs.id_of(request, "run_id")
    page = "/" if back == "/" else f"/runs/{run_id}"
    try:
        answer = await submit(request, command, run_id, hang_up=hang_up)
    except ApiError as error:
        return notices.redirect_conflict(request, error, page, NOT_NOW)
    return notices.redirect(request, page, NOTICES["ended" if answer.already_ended else command.value.removeprefix("run.")])
