"""Browsers that are signed in: the reader's own account with its password, and for an admin everybody's sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.messages import JOB_ID_MAX
from dialer.model import Role
from web.access.auth import require_any, require_person, require_principal
from web.operations.access.own_password import PasswordChange, change_own_password
from web.operations.access.sessions import end_session, list_sessions, start_of_previous_sessions
from web.pages import forms, frame, notices
from web.pages.access import form_errors
from web.pages.access.browsers import browser_of
from web.pages.settings.problems import problems_of
from web.server.errors import ApiError
from web.server.i18n import msgid, sentence
from web.server.inputs import id_of, optional_id

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.sessions.sessions import OpenSession
    from web.access.auth import Principal
    from web.pages.access.form_errors import Wrong

ACCOUNT: Final = "/settings/me"
ALL: Final = "/settings/sessions"
ON_A_PAGE: Final = 50
PASSWORD_CHANGED: Final = msgid("Your password is changed. Everywhere else you are signed out.")
ENDED: Final = msgid("That browser is signed out.")
NOT_EQUAL: Final = msgid("The two passwords are not the same.")


async def account(request: http.Request) -> http.Response:
    """The reader's own account."""
    return await _account(request, {}, 200)


async def change_password(request: http.Request) -> http.Response:
    """Change the reader's password; with a wrong field the form comes back."""
    require_person(request)
    form = await forms.read(request)
    change, wrong = form_errors.checked(
        request, PasswordChange, {name: form.get(name, "") for name in ("current_password", "new_password")}
    )
    if form.get("again") != form.get("new_password"):
        wrong = {"again": sentence(request, NOT_EQUAL), **wrong}
    if change is None or wrong:
        return await _account(request, wrong, 422)
    response = notices.redirect(request, ACCOUNT, PASSWORD_CHANGED)
    try:
        await change_own_password(request, response, change)
    except ApiError as error:
        return await _account(request, problems_of(request, error), error.status)
    return response


async def all_sessions(request: http.Request) -> http.Response:
    """Every open session of the business."""
    principal = require_principal(request, Role.ADMIN)
    return await frame.render(request, "access/sessions.html", **await _sessions(request, principal, None, ALL))


async def end(request: http.Request) -> http.Response:
    """End a session, and go back to the list."""
    principal = require_any(request)
    back = ALL if (await forms.read(request)).get("of") == "all" else ACCOUNT
    await end_session(request, principal, id_of(request, "session_id", JOB_ID_MAX))
    return notices.redirect(request, back, ENDED)


async def _account(request: http.Request, wrong: Wrong, status: int) -> http.Response:
    principal = require_person(request)
    values = await _sessions(request, principal, principal.user_id, ACCOUNT)
    return await frame.render(request, "access/account.html", status=status, wrong=wrong, email=principal.email, **values)


async def _sessions(request: http.Request, principal: Principal, user_id: int | None, path: str) -> dict[str, Any]:
    before = optional_id(request.query.get("before", ""), JOB_ID_MAX)
    found, more = await list_sessions(request, principal, user_id=user_id, before=before, limit=ON_A_PAGE)
    previous = await start_of_previous_sessions(request, principal, user_id=user_id, before=before, limit=ON_A_PAGE)
    return {
        "sessions": [(session, browser_of(session.user_agent), _is_current(principal, session)) for session in found],
        "previous": None if previous is None else f"{path}?before={previous}",
        "following": f"{path}?before={found[-1].session_id}" if more else None,
    }


def _is_current(principal: Principal, session: OpenSession) -> bool:
    return session.session_id == principal.session_id
