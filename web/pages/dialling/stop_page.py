"""The switch that stops all dialling of the business: what it does, the question, and who has stopped it, when and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.model import Role
from sql.stored_text import storable
from web.access.auth import require_principal
from web.operations.dialling import MAX_REASON_CHARACTERS, change_dialling
from web.pages import forms, frame, notices
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

PAGE: Final = "/dialling"
NOTICES: Final = {
    "stop": msgid("All dialling is stopped. Calls on the line finish."),
    "resume": msgid("Dialling has resumed."),
}


async def page(request: http.Request) -> http.Response:
    """The switch; a viewer sees how it stands."""
    require_principal(request)
    return await frame.render(request, "dialling/stop.html", most=MAX_REASON_CHARACTERS)


async def change(request: http.Request) -> http.Response:
    """Stop all dialling, or resume it, for the reason in the form."""
    require_principal(request, Role.OPERATOR)
    reason = " ".join((await forms.read(request)).get("reason", "").split())[:MAX_REASON_CHARACTERS]
    verb = request.match_info["verb"]
    await change_dialling(request, stop=verb == "stop", reason=reason if reason and storable(reason) else None)
    return notices.redirect(request, PAGE, NOTICES[verb])
