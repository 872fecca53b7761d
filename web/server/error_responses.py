"""Turns every error of a request into one shape: {"error": sentence, "code": code, "details": [...]?}."""

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
from web.server.i18n import language, msgid, plural, singular

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from web.server.i18n import Language

REFERENCE_CHARACTERS: Final = 12
SERVER_ERROR: Final = 500
# Errors below these paths are JSON, for programs; below every other one they are pages.
PROGRAMS: Final = ("/api/", "/callbacks/", "/twiml/", "/healthz", "/readyz", "/metrics")

CODES: Final[dict[int, tuple[str, str]]] = {
    400: ("bad_request", msgid("The request could not be read.")),
    403: ("forbidden", msgid("You are not allowed to do this.")),
    404: ("not_found", msgid("There is no page at this address.")),
    405: ("method_not_allowed", msgid("This method is not supported at this address.")),
    413: ("too_large", msgid("The request is too large.")),
    415: ("unsupported_media_type", msgid("This Content-Type is not supported here.")),
}

log = logging.getLogger(__name__)


@http.middleware
async def answer_errors(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Answer every error; an unexpected one gets a reference, which is also in the log."""
    try:
        return await handler(request)
    except http.HTTPException as error:
        if error.status < http.HTTPBadRequest.status_code:
            raise
        return await _respond(request, _from_http(error))
    except ConnectionResetError as error:
        if request.transport is None or request.transport.is_closing():
            raise  # the client has gone, in the middle of its response
        return await _respond(request, _from_exception(request, error))
    except Exception as error:  # noqa: BLE001 - the client gets an answer to every error, and the log has the details
        return await _respond(request, _from_exception(request, error))


def as_json(request: http.Request, error: ApiError) -> http.Response:
    """The error as programs read it."""
    body: dict[str, Any] = {"error": said(request, error.text), "code": error.code}
    if error.details:
        body["details"] = [translated(request, detail) for detail in error.details]
    return http.json_response(body, status=error.status, headers=error.headers)


def said(request: http.Request, text: Text) -> str:
    """A sentence in the reader's language, with those that follow it."""
    return said_in(language(request), text)


def said_in(chosen: Language, text: Text) -> str:
    """A sentence in this language, with those that follow it."""
    values = translated_to(chosen, dict(text.values))
    own = plural(chosen, text.text, text.many, text.count) if text.many else singular(chosen, text.text)
    own = own.format(**values) if values else own
    return " ".join((own, *(said_in(chosen, following) for following in text.then)))


def translated(request: http.Request, value: Any) -> Any:  # noqa: ANN401 - any JSON
    """`value` with each `Text` in it replaced by its sentence in the reader's language."""
    return translated_to(language(request), value)


def translated_to(chosen: Language, value: Any) -> Any:  # noqa: ANN401 - any JSON
    """`value` with each `Text` in it replaced by its sentence in this language."""
    if isinstance(value, Text):
        return said_in(chosen, value)
    if isinstance(value, dict):
        return {name: translated_to(chosen, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [translated_to(chosen, inner) for inner in value]
    return value


async def _respond(request: http.Request, error: ApiError) -> http.StreamResponse:
    error_page = request.app.get(keys.ERROR_PAGE)
    if error_page is None or local_path(request).startswith(PROGRAMS):
        return as_json(request, error)
    return await error_page(request, error)


def _from_http(error: http.HTTPException) -> ApiError:
    code, text = CODES.get(error.status, CODES[400])
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return ApiError(error.status, code, Text(text), headers=headers)


def _from_exception(request: http.Request, error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, BusyError):
        log.warning("a tenant waited too long for its share of the connections")
        return errors.crowded()
    if isinstance(error, RowLockedError):
        log.warning("a row stayed locked: %s", type(error).__name__)
        return errors.busy()
    if isinstance(error, (NotRecordedError, DatabaseUnavailableError)):
        log.warning("PostgreSQL is unavailable: %s", type(error).__name__)
        return errors.away()
    return _unexpected(request, error)


def _unexpected(request: http.Request, error: Exception) -> ApiError:
    reference = request.app[keys.IDS].nonce()[:REFERENCE_CHARACTERS]
    log.error("unexpected error %s at %s", reference, request.method, exc_info=error)
    text = Text(
        msgid("Something went wrong on our side. If it keeps happening, send us this reference: {reference}."), {"reference": reference}
    )
    return ApiError(SERVER_ERROR, "internal", text)
