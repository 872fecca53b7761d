"""What the last action did, said once on the page that it redirects to.

The notice travels in a sealed cookie that the page deletes when it shows it, so reloading the page or sharing its address does not
repeat it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web as http

from dialer.sealing import BrokenSealError
from web.pages import forms
from web.server.error_responses import said
from web.server.errors import ApiError, Text

if TYPE_CHECKING:
    from dialer.sealing import Seal

SEAL: Final[http.AppKey[Seal]] = http.AppKey("notice seal")
COOKIE: Final = "notice"
LONGEST_SECONDS: Final = 60
MAX_COOKIE_CHARACTERS: Final = 3_000
CONFLICT: Final = 409


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence in the reader's language; `is_bad` when the action was rejected."""

    text: str
    is_bad: bool


def redirect(request: http.Request, path: str, text: str | Text, *, is_bad: bool = False, **values: Any) -> http.Response:  # noqa: ANN401 - for format()
    """Redirect after a form with a GET to a page that says `text`: a `Text`, or a msgid whose placeholders are `values`."""
    response = forms.redirect(path)
    _give(request, response, said(request, Text(text, values) if isinstance(text, str) else text), is_bad=is_bad)
    return response


def redirect_conflict(request: http.Request, error: ApiError, path: str, text: str) -> http.Response:
    """Redirect to a page that shows the current state and says `text`, after an action was rejected with 409.

    Raises:
        ApiError: `error` itself, when it is another one.
    """
    if error.status != CONFLICT:
        raise error
    return redirect(request, path, text, is_bad=True)


class Pending:
    """The notice that a request carries, if any: `take` gives it to the page, and `forget` deletes it once it was taken."""

    def __init__(self, request: http.Request) -> None:
        self._request = request
        self._taken = False

    def take(self) -> Notice | None:
        """The notice; None when there is none."""
        cookie = self._request.cookies.get(COOKIE, "")
        if not 0 < len(cookie) <= MAX_COOKIE_CHARACTERS:
            return None
        self._taken = True
        try:
            opened = self._request.app[SEAL].open(cookie.encode(errors="replace"), max_age_seconds=LONGEST_SECONDS)
        except BrokenSealError:
            return None
        return Notice(**json.loads(opened))

    def forget(self, response: http.StreamResponse) -> None:
        """Delete the notice, unless the page has not shown it."""
        if self._taken:
            response.del_cookie(COOKIE, path="/", httponly=True, samesite="Lax")


def _give(request: http.Request, response: http.StreamResponse, text: str, *, is_bad: bool) -> None:
    content = json.dumps({"text": text, "is_bad": is_bad}).encode()
    cookie = request.app[SEAL].close(content).decode()
    response.set_cookie(COOKIE, cookie, max_age=LONGEST_SECONDS, httponly=True, samesite="Lax", path="/")
