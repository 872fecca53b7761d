"""Reads what a form of a page sends, within bounds, and decides where the browser goes afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qsl

from aiohttp import web as http

from web.server import inputs
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

Form: TypeAlias = "Mapping[str, str]"

MAX_FIELDS: Final = 200
URLENCODED: Final = "application/x-www-form-urlencoded"


async def read(request: http.Request) -> Form:
    """The fields of a small form; of a repeated name the last value counts.

    Raises:
        ApiError: 400 when it is not a form, 413 when it is too large.
    """
    body = await inputs.read(request)
    if body and request.content_type != URLENCODED:
        raise _malformed()
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError:
        raise _malformed() from None


def redirect(path: str) -> http.Response:
    """Redirect after a form with a GET, so that reloading the page does not send the form again."""
    return http.Response(status=303, headers={"Location": path})


def _malformed() -> ApiError:
    return ApiError(400, "bad_request", Text(msgid("This form could not be read.")))
