"""A secret that a page shows once, after the form that made it: a link, or the secret of a token.

It travels as a notice does, in a sealed cookie that the page deletes: neither reloading nor going back shows it again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from dialer.sealing import BrokenSealError
from web.pages import forms
from web.server import keys

if TYPE_CHECKING:
    from aiohttp import web as http

COOKIE: Final = "shown_once"
LONGEST_SECONDS: Final = 60
MAX_COOKIE_CHARACTERS: Final = 3_000


@dataclass(frozen=True, slots=True)
class ShownSecret:
    """A secret, whose it is (an e-mail address, the name of a token), and on which page it is shown."""

    path: str
    of: str
    secret: str


def redirect(request: http.Request, shown: ShownSecret) -> http.Response:
    """Redirect after a form to the page that shows the secret."""
    response = forms.redirect(shown.path)
    sealed = request.app[keys.ANSWER_SEAL].close(json.dumps(asdict(shown)).encode()).decode()
    response.set_cookie(COOKIE, sealed, max_age=LONGEST_SECONDS, httponly=True, samesite="Lax", path=shown.path, secure=_is_secure(request))
    return response


def take(request: http.Request) -> ShownSecret | None:
    """The secret that this request is to show; None when there is none."""
    cookie = request.cookies.get(COOKIE, "")
    if not 0 < len(cookie) <= MAX_COOKIE_CHARACTERS:
        return None
    try:
        opened = request.app[keys.ANSWER_SEAL].open(cookie.encode(errors="replace"), max_age_seconds=LONGEST_SECONDS)
        shown = ShownSecret(**json.loads(opened))
    except (BrokenSealError, TypeError, ValueError):
        return None
    return shown if shown.path == request.path else None


def forget(request: http.Request, response: http.StreamResponse) -> None:
    """Delete the secret that was shown."""
    if COOKIE in request.cookies:
        response.del_cookie(COOKIE, path=request.path, httponly=True, samesite="Lax", secure=_is_secure(request))


def _is_secure(request: http.Request) -> bool:
    return request.app[keys.SETTINGS].public_url.startswith("https:")
