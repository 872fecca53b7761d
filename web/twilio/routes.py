"""Twilio comes back: check the signature, apply the fact in PostgreSQL, tell the owner, 204.

One look-up and one write a request. The owner being dead, or Redis being empty, loses nothing: the fact is in PostgreSQL, and has freed
the slot, before anybody is told. While PostgreSQL is away it is kept in Redis; with both away the answer is 503, and Twilio comes
again (`#rc=5&rp=all`).

On the road of a call: 6. The next is `sql/attempts/attempts.py`, and the owner hands the hint to the waiting call (4).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from aiohttp import web as http
from multidict import MultiDict

from telephony.twilio import callbacks, twiml
from web.server import errors, keys
from web.server.addresses import prefix_of, raw_local_path
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import read, storable
from web.twilio.greeting import greets
from web.twilio.receiver import SignedRequest, UnknownReferenceError, UnsignedError

if TYPE_CHECKING:
    from web.twilio.receiver import CallbackResult

log = logging.getLogger(__name__)

GREETING: Final = "Hello. This is an automated call. Thank you, and goodbye."
LANGUAGE: Final = "en-US"


def setup(app: http.Application) -> None:
    """Register the addresses the provider calls: below the path of PUBLIC_URL too, which a proxy may or may not take away."""
    for prefix in {"", prefix_of(app[keys.SETTINGS].public_url)}:
        app.router.add_post(f"{prefix}/callbacks/{{reference}}", status)
        app.router.add_post(f"{prefix}/twiml/{{reference}}", speak)


async def status(request: http.Request) -> http.Response:
    """Apply what Twilio says of a call."""
    await _receive(request, answered=False)
    return http.Response(status=204)


async def speak(request: http.Request) -> http.Response:
    """Say what is said on a call that was answered: a greeting, or nothing on a call nobody should be having."""
    callback = await _receive(request, answered=True)
    text = twiml.speech(GREETING, LANGUAGE) if greets(callback) else twiml.hang_up()
    return http.Response(text=text, content_type="text/xml")


async def _receive(request: http.Request, *, answered: bool) -> CallbackResult | None:
    """Believe the request; None when it is kept for later.

    Raises:
        ApiError: 403 when Twilio did not sign it, whether or not the reference exists; 404 when it did and there is none; 400 when it
            cannot be read.
    """
    signed = SignedRequest(request.match_info["reference"], raw_local_path(request), request.headers, await _form(request))
    try:
        callback = await request.app[keys.CALLBACKS].receive(signed, answered=answered)
    except UnsignedError:
        raise _refused(request, "unsigned", _unsigned()) from None
    except UnknownReferenceError:
        raise _refused(request, "stranger", errors.not_found()) from None
    except ValueError as error:
        # Its message names the field, never the content.
        text = Text(msgid("This request cannot be understood."))
        unreadable = ApiError(400, "bad_request", text, details=[{"field": "body", "message": str(error)}])
        raise _refused(request, "unreadable", unreadable) from None
    request.app[keys.METRICS].callbacks.labels(callback.result.verdict if callback else "kept").inc()
    return callback


async def _form(request: http.Request) -> MultiDict[str]:
    body = await read(request)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=callbacks.MAX_FIELDS)
    except (UnicodeDecodeError, ValueError):
        pairs = []
    return MultiDict((name, value) for name, value in pairs if storable(name) and storable(value))


def _unsigned() -> ApiError:
    return ApiError(403, "unsigned", Text(msgid("This request is not signed by the provider.")))


def _refused(request: http.Request, verdict: str, error: ApiError) -> ApiError:
    request.app[keys.METRICS].callbacks.labels(verdict).inc()
    log.warning("a callback is refused: %s", verdict)
    return error
