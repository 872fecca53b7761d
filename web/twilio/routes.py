"""Twilio's requests: verify the signature, record the fact in PostgreSQL, notify the owner, answer 204.

One look-up and one write a request. Nothing is lost if the owner is dead or Redis is empty: the fact is in PostgreSQL, and has freed the
slot, before the owner is notified. While PostgreSQL is unavailable the callback is kept in Redis; without both the answer is 503, and
Twilio retries (`#rc=5&rp=all`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web as http
from multidict import MultiDict

from dialer.model import Reference
from sql.errors import DatabaseUnavailableError
from telephony.twilio import callbacks, twiml
from web.server import errors, keys
from web.server.addresses import prefix_of, raw_local_path
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import read, storable
from web.twilio.conversation import after_agent, after_key, opening
from web.twilio.greeting import greets
from web.twilio.key_presses import DIGITS
from web.twilio.receiver import SignedRequest, UnknownReferenceError, UnsignedError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sql.scripts.scripts import CallScript
    from web.twilio.receiver import CallbackResult

log = logging.getLogger(__name__)

Received = TypeVar("Received")


def setup(app: http.Application) -> None:
    """Register the addresses the provider calls, also below the path of PUBLIC_URL, which a proxy may or may not remove."""
    for prefix in {"", prefix_of(app[keys.SETTINGS].public_url)}:
        app.router.add_post(f"{prefix}/callbacks/{{reference}}", status_callback)
        app.router.add_post(f"{prefix}/callbacks/{{reference}}/recording", recording_callback)
        app.router.add_post(f"{prefix}/twiml/{{reference}}", voice_script)
        app.router.add_post(f"{prefix}/twiml/{{reference}}/pressed", key_pressed)
        app.router.add_post(f"{prefix}/twiml/{{reference}}/dialled", agent_dialled)


async def status_callback(request: http.Request) -> http.Response:
    """Record a status callback."""
    await _receive(request, await _form(request), answered=False)
    return http.Response(status=204)


async def recording_callback(request: http.Request) -> http.Response:
    """Store where the recording of a call is."""
    await _accepted(request, request.app[keys.CALLBACKS].receive_recording(_signed(request, await _form(request))))
    return http.Response(status=204)


async def voice_script(request: http.Request) -> http.Response:
    """The TwiML of an answered call: its script, or a hang-up when the call should not exist."""
    form = await _form(request)
    callback = await _receive(request, form, answered=True)
    call = await _script(request) if greets(callback) else None
    return _twiml(opening(call, form.get("AnsweredBy"), _address(request)) if call else twiml.hang_up())


async def key_pressed(request: http.Request) -> http.Response:
    """Act on a key that the person pressed, even when the call itself is to be ended."""
    form = await _form(request)
    callback = await _receive(request, form, answered=True)
    if callback is None:
        # It is kept with the callback, and acted on when that is replayed.
        return _twiml(twiml.hang_up())
    reference = Reference.parse(request.match_info["reference"])
    try:
        call, removed = await request.app[keys.KEY_PRESSES].act(reference, form.get(DIGITS, ""))
    except DatabaseUnavailableError:
        if not await request.app[keys.STREAMS].keep_callback(str(reference), form):
            raise
        return _twiml(twiml.hang_up())
    talks = call is not None and (removed or greets(callback))
    return _twiml(after_key(call, _address(request), removed=removed) if call and talks else twiml.hang_up())


async def agent_dialled(request: http.Request) -> http.Response:
    """What the person hears after the call to an agent has ended."""
    form = await _form(request)
    callback = await _receive(request, form, answered=True)
    call = await _script(request) if greets(callback) else None
    return _twiml(after_agent(call, form.get("DialCallStatus", "")) if call else twiml.hang_up())


async def _script(request: http.Request) -> CallScript | None:
    """The script of the call; None, which ends it, while PostgreSQL is unavailable."""
    reference = Reference.parse(request.match_info["reference"])
    try:
        return await request.app[keys.SCRIPTS].of_attempt(reference.business_id, reference.attempt_id)
    except DatabaseUnavailableError:
        return None


def _address(request: http.Request) -> str:
    return f"{request.app[keys.SETTINGS].public_url}/twiml/{request.match_info['reference']}"


def _twiml(text: str) -> http.Response:
    return http.Response(text=text, content_type="text/xml")


async def _receive(request: http.Request, form: MultiDict[str], *, answered: bool) -> CallbackResult | None:
    """Verify and record the request; None when it is deferred.

    Raises:
        ApiError: as `_accepted`.
    """
    callback = await _accepted(request, request.app[keys.CALLBACKS].receive(_signed(request, form), answered=answered))
    request.app[keys.METRICS].callbacks.labels(callback.result.verdict if callback else "kept").inc()
    return callback


def _signed(request: http.Request, form: MultiDict[str]) -> SignedRequest:
    return SignedRequest(request.match_info["reference"], raw_local_path(request), request.headers, form)


async def _accepted(request: http.Request, received: Awaitable[Received]) -> Received:
    """What the receiver returns.

    Raises:
        ApiError: 403 when Twilio did not sign it, whether or not the reference exists; 404 when it did and the reference does not exist;
            400 when a field is malformed.
    """
    try:
        return await received
    except UnsignedError:
        raise _rejected(request, "unsigned", _unsigned()) from None
    except UnknownReferenceError:
        raise _rejected(request, "stranger", errors.not_found()) from None
    except ValueError as error:
        # Its message names the field, never the content.
        text = Text(msgid("The request could not be read."))
        unreadable = ApiError(400, "bad_request", text, details=[{"field": "body", "message": str(error)}])
        raise _rejected(request, "unreadable", unreadable) from None


async def _form(request: http.Request) -> MultiDict[str]:
    body = await read(request)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=callbacks.MAX_FIELDS)
    except (UnicodeDecodeError, ValueError):
        pairs = []
    return MultiDict((name, value) for name, value in pairs if storable(name) and storable(value))


def _unsigned() -> ApiError:
    return ApiError(403, "unsigned", Text(msgid("This request is not signed by the provider.")))


def _rejected(request: http.Request, verdict: str, error: ApiError) -> ApiError:
    request.app[keys.METRICS].callbacks.labels(verdict).inc()
    log.warning("a callback was rejected: %s", verdict)
    return error
