"""The page behind a one-time link, where a user sets a password; it works signed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.access import auth
from web.operations.access.own_password import NewPassword, set_password, user_of_link
from web.pages import forms, frame
from web.pages.access import form_errors
from web.pages.access.session_pages import NOT_EQUAL
from web.server.i18n import sentence

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.pages.access.form_errors import Wrong

GONE: Final = 410


async def page(request: http.Request) -> http.Response:
    """The form, or that the link does not work any more."""
    return await _form(request, {}, 200)


async def use(request: http.Request) -> http.Response:
    """Set the password and sign in; with a wrong field the form comes back."""
    form = await forms.read(request)
    new, wrong = form_errors.checked(request, NewPassword, {"password": form.get("password", "")})
    if form.get("again") != form.get("password"):
        wrong = {**wrong, "again": sentence(request, NOT_EQUAL)}
    if new is None or wrong:
        return await _form(request, wrong, 422)
    user = await set_password(request, request.match_info["secret"], new.password)
    if user is None:
        return await _form(request, {}, GONE)
    response = forms.redirect("/")
    await auth.sign_in(request, response, user)
    return response


async def _form(request: http.Request, wrong: Wrong, status: int) -> http.Response:
    user = await user_of_link(request, request.match_info["secret"])
    response = frame.render_for(
        request,
        "access/reset.html",
        None,
        status=status if user else GONE,
        email=user.email if user else None,
        path=request.path,
        wrong=wrong,
    )
    # The address is a secret.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
