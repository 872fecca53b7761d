"""Errors as pages, in the same frame as everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from web.access import auth
from web.pages import frame
from web.server import i18n
from web.server.error_responses import said
from web.server.i18n import msgid

if TYPE_CHECKING:
    from web.pages.frame import Reader
    from web.server.errors import ApiError

TITLES: Final = {
    403: msgid("Not allowed"),
    404: msgid("Not found"),
    405: msgid("Not possible"),
    409: msgid("Not possible right now"),
    413: msgid("Too large"),
    429: msgid("Please wait"),
    503: msgid("Temporarily unavailable"),
}
OTHER: Final = msgid("Something went wrong")
UNAUTHORIZED: Final = 401
NO_SUCH_METHOD: Final = 405
FRAGMENTS: Final = ("/fragment", "/leads")
# The first page of a user of the installation, who has no pages of a business.
HEALTH: Final = "/health"
SERVER_ERROR: Final = 500


async def error_page(request: http.Request, error: ApiError) -> http.StreamResponse:
    """The page for an error; without a session, a redirect to the sign-in, which leads back here."""
    fragment = request.path.endswith(FRAGMENTS)
    if error.status == UNAUTHORIZED:
        # A fragment must not be replaced by the sign-in page: the page around it reloads itself.
        return http.Response(status=UNAUTHORIZED, headers={"HX-Refresh": "true"}) if fragment else await _to_login(request)
    if error.code == auth.OF_NO_BUSINESS and request.method == "GET" and not fragment:
        return http.Response(status=303, headers={"Location": HEALTH})
    if error.status == NO_SUCH_METHOD and request.method == "GET":
        # The address of a form's answer, loaded again: a question that was asked there is gone, its page is not.
        return http.Response(status=303, headers={"Location": await _page_around(request)})
    text = said(request, error.text)
    if fragment:
        return http.Response(status=error.status, text=text, headers=error.headers)
    title = i18n.sentence(request, TITLES.get(error.status, OTHER))
    response = frame.render_for(request, "error.html", await _reader(request, error), status=error.status, title=title, text=text)
    response.headers.update(error.headers)
    return response


async def _to_login(request: http.Request) -> http.Response:
    if request.method == "GET":
        page, query = str(request.rel_url), {}
    else:
        # What was sent is lost, and the person must know.
        page, query = await _page_around(request), {"ended": "1"}
    if page != "/":
        query["next"] = frame.safe_path(page)
    address = request.rel_url.with_path("/login").with_query(query).with_fragment(None)
    return http.Response(status=303, headers={"Location": str(address)})


async def _page_around(request: http.Request) -> str:
    """The page that the form of this address is on: the address itself, or the nearest above it that can be loaded."""
    page = request.path
    while page.strip("/"):
        found = await request.app.router.resolve(request.clone(method="GET", rel_url=page))
        if found.http_exception is None and not page.endswith(FRAGMENTS):
            return page
        page = page.rpartition("/")[0]
    return "/"


async def _reader(request: http.Request, error: ApiError) -> Reader | None:
    """An error of the server is shown without the database, which may be what failed."""
    principal = auth.principal_of(request)
    return await frame.reader(request, principal) if principal and error.status < SERVER_ERROR else None
