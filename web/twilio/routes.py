"""Twilio's requests: verify the signature, record the fact in PostgreSQL, notify the owner, answer 204.

One statement a request. Nothing is lost if the owner is dead or Redis is empty: the fact is in PostgreSQL, and has freed the
slot, before the owner is notified. While PostgreSQL is unavailable the callback is kept in Redis; without both the answer is 503, and
Twilio retries (`#rc=5&rp=all`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web as http

from dialer.log import about
from dialer.model import Reference
from dialer.sealing import BrokenSealError
from dialer.shares import BusyError
from sql.errors import DatabaseUnavailableError
from telephony.twilio import twiml
from web.server import keys
from web.server.addresses import prefix_of
from web.server.tracing.request_spans import trace_callback, trace_recording
from web.twilio import inbound
from web.twilio.conversation import REMOVING, after_agent, after_key, for_machine, is_for_machine, opening
from web.twilio.greeting import greets
from web.twilio.key_presses import DIGITS
from web.twilio.previews import test_call_routes
from web.twilio.signed_forms import accepted, form_of, signed_request, twiml_response

# Of a sid in the log; whoever sent it may not be Twilio.
SHOWN_CHARACTERS = 64

if TYPE_CHECKING:
    from multidict import MultiDict

    from sql.scripts.scripts import CallScript
    from web.twilio.receiver import CallbackResult


def setup(app: http.Application) -> None:
    """Register the addresses the provider calls, also below the path of PUBLIC_URL, which a proxy may or may not remove."""
    for prefix in {"", prefix_of(app[keys.SETTINGS].public_url)}:
        app.router.add_post(f"{prefix}/callbacks/{{reference}}", status_callback)
        app.router.add_post(f"{prefix}/callbacks/{{reference}}/recording", recording_callback)
        app.router.add_post(f"{prefix}/callbacks/{{reference}}/machine", machine_callback)
        # Before those of references, which match it too.
        inbound.setup(app, prefix)
        app.router.add_post(f"{prefix}/twiml/{{reference}}", voice_script)
        app.router.add_post(f"{prefix}/twiml/{{reference}}/machine", machine_script)
        app.router.add_post(f"{prefix}/twiml/{{reference}}/pressed", key_pressed)
        app.router.add_post(f"{prefix}/twiml/{{reference}}/dialled", agent_dialled)
        test_call_routes.setup(app, prefix)


async def status_callback(request: http.Request) -> http.Response:
    """Record a status callback."""
    await _receive(request, await form_of(request), answered=False)
    return http.Response(status=204)


async def recording_callback(request: http.Request) -> http.Response:
    """Store where the recording of a call is."""
    signed = signed_request(request, await form_of(request))
    if found := await accepted(request, request.app[keys.CALLBACKS].receive_recording(signed)):
        reference, attempt = found
        trace_recording(request, reference.business_id, attempt.run_id, attempt.job_id, reference.attempt_id)
    return http.Response(status=204)


async def machine_callback(request: http.Request) -> http.Response:
    """Note who answered a call that goes on meanwhile; a machine gets what its run wants for it."""
    form = await form_of(request)
    callback = await _receive(request, form, answered=True)
    call = await _script(request, callback)
    if callback and call and is_for_machine(call, form.get("AnsweredBy")):
        await _redirect(request, callback, form.get("CallSid", ""), f"{_address(request)}/machine")
    return http.Response(status=204)


async def machine_script(request: http.Request) -> http.Response:
    """The TwiML for a machine that was found while the call went on."""
    call = await _script(request, await _receive(request, await form_of(request), answered=True))
    return twiml_response(for_machine(call) if call else twiml.hang_up())


async def voice_script(request: http.Request) -> http.Response:
    """The TwiML of an answered call: its script, or a hang-up when the call should not exist."""
    form = await form_of(request)
    call = await _script(request, await _receive(request, form, answered=True))
    return twiml_response(opening(call, form.get("AnsweredBy"), _address(request)) if call else twiml.hang_up())


async def key_pressed(request: http.Request) -> http.Response:
    """Act on a key that the person pressed, even when the call itself is to be ended."""
    form = await form_of(request)
    digit = form.get(DIGITS, "")
    removed = bool(digit) and digit in request.query.get(REMOVING, "")
    callback = await _receive(request, form, answered=True, removes=removed)
    call = await _script(request, callback, ended=removed)
    return twiml_response(after_key(call, _address(request), removed=removed) if call else twiml.hang_up())


async def agent_dialled(request: http.Request) -> http.Response:
    """What the person hears after the call to an agent has ended."""
    form = await form_of(request)
    call = await _script(request, await _receive(request, form, answered=True))
    return twiml_response(after_agent(call, form.get("DialCallStatus", "")) if call else twiml.hang_up())


async def _script(request: http.Request, callback: CallbackResult | None, *, ended: bool = False) -> CallScript | None:
    """The script of a call; None, which ends it, when it should not exist, or while PostgreSQL is unavailable.

    With `ended` also that of a call that should not go on: a last sentence is said.
    """
    if callback is None or not (ended or greets(callback)):
        return None
    reference = Reference.parse(request.match_info["reference"])
    try:
        return await request.app[keys.SCRIPTS].of_attempt(reference.business_id, reference.attempt_id)
    except (DatabaseUnavailableError, BusyError):
        return None


async def _redirect(request: http.Request, callback: CallbackResult, sid: str, url: str) -> bool:
    """Let the call of a callback go on with the TwiML at `url`; False when it does not, and goes on as it is."""
    business_id = Reference.parse(request.match_info["reference"]).business_id
    accounts, account_sid = request.app[keys.ACCOUNTS], callback.account_sid
    with suppress(BrokenSealError):
        accounts.account(business_id, None, await request.app[keys.ACCOUNT_ROWS].of(business_id))
    account = accounts.of(business_id, account_sid)
    return account is not None and await request.app[keys.PROVIDER].redirect(account, sid, url)


def _address(request: http.Request) -> str:
    return f"{request.app[keys.SETTINGS].public_url}/twiml/{request.match_info['reference']}"


async def _receive(request: http.Request, form: MultiDict[str], *, answered: bool, removes: bool = False) -> CallbackResult | None:
    """Verify and record the request; None when it is deferred.

    Raises:
        ApiError: as `accepted`.
    """
    began = request.app[keys.CLOCK].now()
    signed = replace(signed_request(request, form), removes=removes)
    with about(sid=form.get("CallSid", "")[:SHOWN_CHARACTERS] or None):
        callback = await accepted(request, request.app[keys.CALLBACKS].receive(signed, answered=answered))
    if callback:
        trace_callback(request, callback.result, form.get("CallStatus", ""), began)
    request.app[keys.METRICS].callbacks.labels(callback.result.verdict if callback else "kept").inc()
    return callback
