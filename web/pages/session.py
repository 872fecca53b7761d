"""Signing in and out, and the choice of language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from web.access import auth
from web.pages import forms, frame
from web.server import i18n, keys
from web.server.addresses import opened_by_http
from web.server.error_responses import said
from web.server.errors import ApiError
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.pages.forms import Form

WRONG: Final = msgid("Wrong e-mail address or password. Check both and try again.")
ENDED: Final = msgid("Your session has ended, and what you sent was not saved. Sign in, then do it again.")
MISSING: Final = msgid("Enter your e-mail address and password.")


async def sign_in_page(request: http.Request) -> http.Response:
    """The sign-in page; a browser that is signed in already is redirected."""
    destination = frame.safe_path(request.query.get("next", "/"))
    if auth.principal_of(request):
        return forms.redirect(destination)
    if opened_by_http(request):
        return _insecure(request, destination, 200)
    ended = i18n.sentence(request, ENDED) if "ended" in request.query else ""
    return frame.render_for(request, "login.html", None, error="", ended=ended, email="", next=destination)


async def sign_in(request: http.Request) -> http.Response:
    """Sign in; with a wrong or missing field the form comes back with the e-mail address filled in."""
    form = await forms.read(request)
    destination = frame.safe_path(form.get("next", "/"))
    if opened_by_http(request):
        return _insecure(request, destination, 400)
    try:
        if not form.get("email", "").strip() or not form.get("password"):
            return _form_again(request, form, destination, i18n.sentence(request, MISSING), 422)
        user = await auth.check_password(request, form["email"], form["password"])
    except ApiError as error:
        response = _form_again(request, form, destination, said(request, error.text), error.status)
        response.headers.update(error.headers)
        return response
    if user is None:
        return _form_again(request, form, destination, i18n.sentence(request, WRONG), 401)
    response = forms.redirect(destination)
    await auth.sign_in(request, response, user)
    return response


async def sign_out(request: http.Request) -> http.Response:
    """Sign out."""
    response = forms.redirect("/login")
    await auth.sign_out(request, response)
    return response


async def choose_language(request: http.Request) -> http.Response:
    """Remember the language, and go back to the page it was chosen on."""
    form = await forms.read(request)
    response = forms.redirect(frame.safe_path(form.get("back", "/")))
    if form.get("language") in i18n.languages():
        response.set_cookie(i18n.COOKIE, form["language"], max_age=i18n.COOKIE_SECONDS, samesite="Lax", httponly=True, path="/")
    return response


def _insecure(request: http.Request, destination: str, status: int) -> http.Response:
    """Over http the browser would drop the session cookie and land on the sign-in page again, without an explanation."""
    login = f"{request.app[keys.SETTINGS].public_url}/login"
    address = login if destination == "/" else f"{login}?{urlencode({'next': destination})}"
    return frame.render_for(request, "insecure.html", None, status=status, address=address)


def _form_again(request: http.Request, form: Form, destination: str, error: str, status: int) -> http.Response:
    values = {"error": error, "ended": "", "email": form.get("email", ""), "next": destination}
    return frame.render_for(request, "login.html", None, status=status, **values)
