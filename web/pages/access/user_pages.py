"""The users of a business: the list with a form for another one, and a page for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.messages import SERIAL_MAX
from dialer.model import Role
from web.access.auth import require_principal
from web.operations.access.users import (
    NewUserInput,
    UserChange,
    change_user,
    create_user,
    delete_user,
    find_user,
    list_users,
    make_link,
    start_of_previous_users,
)
from web.pages import forms, frame, notices
from web.pages.access import form_errors, shown_once
from web.pages.access.shown_once import ShownSecret
from web.pages.labels import ROLE_LABELS
from web.pages.settings.problems import problems_of
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import id_of, optional_id

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.pages.access.form_errors import Wrong
    from web.pages.forms import Form

LIST: Final = "/settings/users"
ON_A_PAGE: Final = 100
CREATED: Final = msgid("{email} can sign in now.")
CHANGED: Final = msgid("{email} is {role} now.")
DISABLED: Final = msgid("{email} is disabled, and signed out everywhere.")
ENABLED: Final = msgid("{email} can sign in again.")
DELETED: Final = msgid("{email} is deleted, and signed out everywhere.")


async def list_page(request: http.Request) -> http.Response:
    """The list, with a form for another user."""
    return await _list(request, {"role": Role.OPERATOR}, {}, 200)


async def create(request: http.Request) -> http.Response:
    """Add a user, and show the link if there is one; with a wrong field the form comes back."""
    require_principal(request, Role.ADMIN)
    form = await forms.read(request)
    values = {name: value for name, value in form.items() if value}
    new, wrong = form_errors.checked(request, NewUserInput, values)
    if new is None:
        return await _list(request, form, wrong, 422)
    try:
        answer = await create_user(request, new)
    except ApiError as error:
        return await _list(request, form, problems_of(request, error), error.status)
    page = f"{LIST}/{answer.user.user_id}"
    if answer.link:
        return shown_once.redirect(request, ShownSecret(page, answer.user.email, answer.link))
    return notices.redirect(request, LIST, CREATED, email=answer.user.email)


async def page(request: http.Request) -> http.Response:
    """One user: role, password link, disable, delete."""
    principal = require_principal(request, Role.ADMIN)
    user = await find_user(request, principal, id_of(request, "user_id"))
    itself, shown = user.user_id == principal.user_id, shown_once.take(request)
    response = await frame.render(request, "access/user.html", user=user, shown=shown, itself=itself, roles=ROLE_LABELS)
    shown_once.forget(request, response)
    return response


async def change(request: http.Request) -> http.Response:
    """Give the user another role."""
    require_principal(request, Role.ADMIN)
    role, user_id = (await forms.read(request)).get("role", ""), id_of(request, "user_id")
    wanted, _ = form_errors.checked(request, UserChange, {"role": role})
    if wanted is None or wanted.role is None:
        return forms.redirect(f"{LIST}/{user_id}")
    return await _change(request, user_id, wanted, CHANGED, role=Text(ROLE_LABELS[wanted.role]))


async def disable(request: http.Request) -> http.Response:
    """Disable the user, or enable one who was disabled."""
    require_principal(request, Role.ADMIN)
    disabled = (await forms.read(request)).get("disabled") == "1"
    return await _change(request, id_of(request, "user_id"), UserChange(disabled=disabled), DISABLED if disabled else ENABLED)


async def reset(request: http.Request) -> http.Response:
    """Make a link to set a password, and show it."""
    user_id = id_of(request, "user_id")
    try:
        answer = await make_link(request, user_id)
    except ApiError as error:
        return _rejected(request, user_id, error)
    return shown_once.redirect(request, ShownSecret(f"{LIST}/{user_id}", answer.user.email, answer.link or ""))


async def deletion(request: http.Request) -> http.Response:
    """The question before a user is deleted."""
    principal = require_principal(request, Role.ADMIN)
    user = await find_user(request, principal, id_of(request, "user_id"))
    return await frame.render(request, "access/user_deletion.html", user=user)


async def delete(request: http.Request) -> http.Response:
    """Delete the user."""
    principal = require_principal(request, Role.ADMIN)
    user = await find_user(request, principal, id_of(request, "user_id"))
    try:
        await delete_user(request, user.user_id)
    except ApiError as error:
        return _rejected(request, user.user_id, error)
    # An admin who deletes itself has no page to go to but the sign-in.
    return notices.redirect(request, LIST, DELETED, email=user.email)


async def _change(request: http.Request, user_id: int, wanted: UserChange, text: str, **values: Any) -> http.Response:  # noqa: ANN401 - for format()
    try:
        user = await change_user(request, user_id, wanted)
    except ApiError as error:
        return _rejected(request, user_id, error)
    return notices.redirect(request, f"{LIST}/{user_id}", text, email=user.email, **values)


def _rejected(request: http.Request, user_id: int, error: ApiError) -> http.Response:
    return notices.redirect_conflict(request, error, f"{LIST}/{user_id}", error.text.text)


async def _list(request: http.Request, form: Form | dict[str, Any], wrong: Wrong, status: int) -> http.Response:
    principal = require_principal(request, Role.ADMIN)
    after = optional_id(request.query.get("after", ""), SERIAL_MAX) or 0
    users, more = await list_users(request, principal, after=after, limit=ON_A_PAGE)
    previous = await start_of_previous_users(request, principal, after=after, limit=ON_A_PAGE)
    return await frame.render(
        request,
        "access/users.html",
        status=status,
        users=users,
        roles=ROLE_LABELS,
        itself=principal.user_id,
        form=form,
        wrong=wrong,
        previous=None if previous is None else f"{LIST}?after={previous}",
        following=f"{LIST}?after={users[-1].user_id}" if more else None,
    )
