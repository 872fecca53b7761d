"""Errors as pages, in the same frame as everything else.

On the road of a call: beside it; whoever is refused on the way is told so here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from web.access import auth
from web.pages import frame
from web.server import i18n
from web.server.i18n import msgid

if TYPE_CHECKING:
    from web.pages.frame import Reader
    from web.server.errors import ApiError

TITLES: Final = {
    403: msgid("Not allowed"),
    404: msgid("Not found"),
    405: msgid("Not possible"),
    409: msgid("Not possible now"),
    413: msgid("Too large"),
    429: msgid("Please wait"),
    500: msgid("Something went wrong"),
    503: msgid("Out of reach for a moment"),
}
OTHER: Final = msgid("This did not work")
UNAUTHORIZED: Final = 401
SERVER_ERROR: Final = 500


async def draw(request: http.Request, error: ApiError) -> http.StreamResponse:
    """The page for an error; somebody who is not signed in is led to the sign-in, and back afterwards."""
    fragment = request.path.endswith(("/fragment", "/leads"))
    if error.status == UNAUTHORIZED:
        # A fragment must not be replaced by the sign-in page: the page around it is to load itself again.
        return http.Response(status=UNAUTHORIZED, headers={"HX-Refresh": "true"}) if fragment else _to_login(request)
    text = i18n.sentence(request, error.text.text, **error.text.values)
    if fragment:
        return http.Response(status=error.status, text=text, headers=error.headers)
    title = i18n.sentence(request, TITLES.get(error.status, OTHER))
    answer = frame.draw(request, "fault.html", await _reader(request, error), status=error.status, title=title, text=text)
    answer.headers.update(error.headers)
    return answer


def _to_login(request: http.Request) -> http.Response:
    there = str(request.rel_url) if request.method == "GET" else "/"
    address = request.rel_url.with_path("/login").with_query({"next": frame.back(there)} if there != "/" else {}).with_fragment(None)
    return http.Response(status=303, headers={"Location": str(address)})


async def _reader(request: http.Request, error: ApiError) -> Reader | None:
    """The frame of an error that is ours is drawn without the database, which may be what failed."""
    who = auth.signed_in(request)
    return await frame.reader(request, who) if who and error.status < SERVER_ERROR else None
