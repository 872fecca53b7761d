"""Turns whatever goes wrong with a request into one shape: {"error": sentence, "code": word, "details": [...]?}.

On the road of a call: around every step that comes in over HTTP.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web as http

from dialer.shares import BusyError
from sql.attempts.fact_writer import NotRecordedError
from sql.errors import DatabaseUnavailableError, RowLockedError
from web.server import errors, keys
from web.server.addresses import local_path
from web.server.errors import ApiError, Text
from web.server.i18n import msgid, sentence

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

REFERENCE_CHARACTERS: Final = 12
SERVER_ERROR: Final = 500
# What programs read; every other path is read by people.
PROGRAMS: Final = ("/api/", "/callbacks/", "/twiml/", "/healthz", "/readyz", "/metrics")

WORDS: Final[dict[int, tuple[str, str]]] = {
    400: ("bad_request", msgid("This request cannot be understood.")),
    403: ("forbidden", msgid("You may not do this.")),
    404: ("not_found", msgid("There is nothing at this address.")),
    405: ("method_not_allowed", msgid("This address does not know this method.")),
    413: ("too_large", msgid("The request is too large.")),
    415: ("unsupported_media_type", msgid("The Content-Type of this request is not one of those accepted here.")),
}

log = logging.getLogger(__name__)


@http.middleware
async def answer_errors(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Answer every error; what nobody expected gets a reference that is found in the log."""
    try:
        return await handler(request)
    except http.HTTPException as error:
        if error.status < http.HTTPBadRequest.status_code:
            raise
        return await _answer(request, _translated(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the asker gets an answer and the log the rest
        return await _answer(request, _fault(request, error))


def as_json(request: http.Request, error: ApiError) -> http.Response:
    """The error as programs read it."""
    body: dict[str, Any] = {"error": sentence(request, error.text.text, **error.text.values), "code": error.code}
    if error.details:
        body["details"] = [said(request, detail) for detail in error.details]
    return http.json_response(body, status=error.status, headers=error.headers)


def said(request: http.Request, value: Any) -> Any:  # noqa: ANN401 - any JSON
    """`value` with each `Text` in it said in the reader's language."""
    if isinstance(value, Text):
        return sentence(request, value.text, **value.values)
    if isinstance(value, dict):
        return {name: said(request, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [said(request, inner) for inner in value]
    return value


async def _answer(request: http.Request, error: ApiError) -> http.StreamResponse:
    draw = request.app.get(keys.ERROR_PAGE)
    if draw is None or local_path(request).startswith(PROGRAMS):
        return as_json(request, error)
    return await draw(request, error)


def _translated(error: http.HTTPException) -> ApiError:
    code, text = WORDS.get(error.status, WORDS[400])
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return ApiError(error.status, code, Text(text), headers=headers)


def _fault(request: http.Request, error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, BusyError):
        log.warning("the share of a tenant is in use for too long")
        return errors.crowded()
    if isinstance(error, RowLockedError):
        log.warning("a row stays locked: %s", type(error).__name__)
        return errors.busy()
    if isinstance(error, (NotRecordedError, DatabaseUnavailableError)):
        log.warning("the database is away: %s", type(error).__name__)
        return errors.away()
    return _unexpected(request, error)


def _unexpected(request: http.Request, error: Exception) -> ApiError:
    reference = request.app[keys.IDS].nonce()[:REFERENCE_CHARACTERS]
    log.error("unexpected error %s at %s", reference, request.method, exc_info=error)
    text = Text(msgid("Something went wrong on our side. If it stays so, tell us this reference: {reference}."), {"reference": reference})
    return ApiError(SERVER_ERROR, "internal", text)
