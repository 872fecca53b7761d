"""Twilio's requests about test calls: what they say, and that they are over. They change nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web as http

from dialer.model import Reference
from sql.scripts.scripts import CallScript
from telephony.twilio import callbacks
from web.server import keys
from web.twilio.conversation import REMOVING, after_agent, after_key, opening
from web.twilio.key_presses import DIGITS
from web.twilio.previews.test_call import SEGMENT
from web.twilio.signed_forms import accepted, form_of, signed_request, twiml_response

if TYPE_CHECKING:
    from multidict import MultiDict

    from sql.test_calls.test_calls import TestCall
    from web.twilio.receiver import SignedRequest


def setup(app: http.Application, prefix: str) -> None:
    """Register the addresses that a test call is given."""
    app.router.add_post(f"{prefix}/callbacks/{SEGMENT}/{{reference}}", status_callback)
    app.router.add_post(f"{prefix}/twiml/{SEGMENT}/{{reference}}", voice_script)
    app.router.add_post(f"{prefix}/twiml/{SEGMENT}/{{reference}}/pressed", key_pressed)
    app.router.add_post(f"{prefix}/twiml/{SEGMENT}/{{reference}}/dialled", agent_dialled)


async def status_callback(request: http.Request) -> http.Response:
    """Note how the call stands."""
    form, _ = await _verified(request)
    reference = Reference.parse(request.match_info["reference"])
    fact = callbacks.parse(form)
    await request.app[keys.TEST_CALLS].note(reference.business_id, reference.attempt_id, fact.status, is_over=fact.outcome is not None)
    return http.Response(status=204)


async def voice_script(request: http.Request) -> http.Response:
    """What the lead would hear."""
    form, call = await _verified(request)
    return twiml_response(opening(_script(call), form.get("AnsweredBy"), _address(request)))


async def key_pressed(request: http.Request) -> http.Response:
    """What the lead would hear after a key; the number is put on no list."""
    form, call = await _verified(request)
    digit = form.get(DIGITS, "")
    removed = bool(digit) and digit in request.query.get(REMOVING, "")
    return twiml_response(after_key(_script(call), _address(request), removed=removed))


async def agent_dialled(request: http.Request) -> http.Response:
    """What the lead would hear after the call to an agent."""
    form, call = await _verified(request)
    return twiml_response(after_agent(_script(call), form.get("DialCallStatus", "")))


async def _verified(request: http.Request) -> tuple[MultiDict[str], TestCall]:
    """The fields of a signed request, and the call it is about.

    Raises:
        ApiError: 403, 404 or 400, as for every other call.
    """
    form = await form_of(request)
    return form, await accepted(request, _find(request, signed_request(request, form)))


async def _find(request: http.Request, signed: SignedRequest) -> TestCall:
    try:
        reference = Reference.parse(signed.reference)
    except ValueError:
        call = None
    else:
        call = await request.app[keys.TEST_CALLS].find(reference.business_id, reference.attempt_id, reference.nonce)
    return request.app[keys.CALLBACKS].verify(signed, call)


def _script(call: TestCall) -> CallScript:
    said: dict[str, Any] = call.call
    return CallScript(**said, phone=call.phone, from_number=call.from_number)


def _address(request: http.Request) -> str:
    return f"{request.app[keys.SETTINGS].public_url}/twiml/{SEGMENT}/{request.match_info['reference']}"
