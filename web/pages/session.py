"""Signing in and out, and the choice of language.

On the road of a call: before it; who presses the button has come in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from web.access import auth
from web.pages import forms, frame
from web.server import i18n, keys
from web.server.addresses import opened_by_http
from web.server.errors import ApiError
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.pages.forms import Form

WRONG: Final = msgid("This e-mail address and password do not belong together. Check both and try again.")
MISSING: Final = msgid("Enter your e-mail address and your password.")


async def ask(request: http.Request) -> http.Response:
    """The sign-in page; who is signed in already goes on."""
    there = frame.back(request.query.get("next", "/"))
    if auth.signed_in(request):
        return forms.lead_to(there)
    if opened_by_http(request):
        return _insecure(request, there, 200)
    return frame.draw(request, "login.html", None, fault="", email="", next=there)


async def enter(request: http.Request) -> http.Response:
    """Sign in, or say what is wrong and keep the e-mail address."""
    form = await forms.read(request)
    there = frame.back(form.get("next", "/"))
    if opened_by_http(request):
        return _insecure(request, there, 400)
    try:
        if not form.get("email", "").strip() or not form.get("password"):
            return _again(request, form, there, i18n.sentence(request, MISSING), 422)
        user = await auth.check_password(request, form["email"], form["password"])
    except ApiError as error:
        answer = _again(request, form, there, i18n.sentence(request, error.text.text, **error.text.values), error.status)
        answer.headers.update(error.headers)
        return answer
    if user is None:
        return _again(request, form, there, i18n.sentence(request, WRONG), 401)
    answer = forms.lead_to(there)
    await auth.sign_in(request, answer, user)
    return answer


async def leave(request: http.Request) -> http.Response:
    """Sign out."""
    answer = forms.lead_to("/login")
    await auth.sign_out(request, answer)
    return answer


async def speak(request: http.Request) -> http.Response:
    """Remember the language, and go back to where it was chosen."""
    form = await forms.read(request)
    answer = forms.lead_to(frame.back(form.get("back", "/")))
    if form.get("language") in i18n.LANGUAGES:
        answer.set_cookie(i18n.COOKIE, form["language"], max_age=i18n.COOKIE_SECONDS, samesite="Lax", httponly=True, path="/")
    return answer


def _insecure(request: http.Request, there: str, status: int) -> http.Response:
    """The browser would not keep the session, and would be led back here without a word."""
    login = f"{request.app[keys.SETTINGS].public_url}/login"
    address = login if there == "/" else f"{login}?{urlencode({'next': there})}"
    return frame.draw(request, "insecure.html", None, status=status, address=address)


def _again(request: http.Request, form: Form, there: str, fault: str, status: int) -> http.Response:
    return frame.draw(request, "login.html", None, status=status, fault=fault, email=form.get("email", ""), next=there)
