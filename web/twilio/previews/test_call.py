"""Calls a person's own phone to let it hear a script: one call, outside of any run.

The call is noted before it is placed, so that it is placed once; it is the only call that a web process places.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Reference
from dialer.phones.phone_numbers import RefusedPhoneError, read_phone
from dialer.phones.zones import zones_of
from dialer.sealing import BrokenSealError
from sql.test_calls.test_calls import NewTestCall, TestCallRefusedError
from telephony.provider import CallRequest, PlacedCall, RefusedCall, UnansweredCall, UnsentCall
from web.intake.phone_sentences import sentence_of
from web.operations.explanations.call_explanation import explain_call
from web.operations.idempotency import request_id
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.scripts.scripts import CallScript
    from telephony.provider import Account, PlaceResult
    from web.access.auth import Principal

# The address of its TwiML and its callbacks, below those of other calls.
SEGMENT: Final = "test"
SEND_SECONDS: Final = 5.0
REFUSALS: Final = {
    "stopped": (409, msgid("Dialling is stopped: no lead is called until it is resumed.")),
    "in_progress": (409, msgid("Another test call of this business is in progress.")),
    "do_not_call": (422, msgid("This number is on the do-not-call list.")),
}


def phone_to_test(business: Business, phone: str) -> str:
    """The number of a test call, in E.164, as the numbers of leads are read.

    Raises:
        ApiError: 422, when it is none, or in a country that the business does not call.
    """
    try:
        reading = read_phone(phone, business.region)
    except RefusedPhoneError as error:
        raise errors.wrong_field(name="phone", why=sentence_of(error)) from None
    if business.allowed_countries is not None and zones_of(reading.e164).country not in business.allowed_countries:
        raise errors.wrong_field(name="phone", why=Text(msgid("is in a country that this business does not call")))
    return reading.e164


async def place_test_call(request: http.Request, principal: Principal, business: Business, phone: str, call: CallScript) -> dict[str, Any]:
    """Call `phone` (E.164) and let it hear what this call says; return the reply of the contract.

    Raises:
        ApiError: 409, 422 or 503.
    """
    calls, account = request.app[keys.TEST_CALLS], await _account(request, business)
    said = {name: value for name, value in asdict(call).items() if name not in {"phone", "from_number"}}
    try:
        new = NewTestCall(business.business_id, phone, call.from_number, account.sid, said)
        stored = await calls.request(new, principal.actor, request_id(request))
    except TestCallRefusedError as error:
        if str(error) == "id_reused":
            raise errors.idempotency_conflict() from None
        http_status, sentence = REFUSALS[str(error)]
        raise ApiError(http_status, str(error), Text(sentence)) from None
    if stored.is_repeated:
        # Whatever became of it, it is not placed again. Callbacks have changed the status of a call that was placed.
        status = "unknown" if stored.status in {"placing", "unknown", "failed"} else "placed"
        return {"test_call_id": stored.test_call_id, "phone": phone, "status": status}
    result = await _place(request, account, call.from_number, phone, Reference(business.business_id, stored.test_call_id, stored.nonce))
    status = "placed" if isinstance(result, PlacedCall) else "unknown" if isinstance(result, UnansweredCall) else "failed"
    await calls.note(business.business_id, stored.test_call_id, status, is_over=status == "failed")
    if isinstance(result, RefusedCall | UnsentCall):
        raise _failed(result)
    return {"test_call_id": stored.test_call_id, "phone": phone, "status": status}


async def _account(request: http.Request, business: Business) -> Account:
    stored = await request.app[keys.ACCOUNT_ROWS].of(business.business_id)
    try:
        return request.app[keys.ACCOUNTS].account(business.business_id, business.account_sid, stored)
    except BrokenSealError:
        text = Text(msgid("The saved credentials of the provider account cannot be read: enter them again."))
        raise ApiError(409, "account", text) from None


async def _place(request: http.Request, account: Account, from_number: str, phone: str, reference: Reference) -> PlaceResult:
    settings = request.app[keys.SETTINGS]
    wanted = CallRequest(
        to=phone,
        from_=from_number,
        url=f"{settings.public_url}/twiml/{SEGMENT}/{reference}",
        status_callback=f"{settings.public_url}/callbacks/{SEGMENT}/{reference}",
        ring_timeout_seconds=settings.ring_timeout_seconds,
        time_limit_seconds=settings.call_time_limit_seconds,
    )
    return await request.app[keys.PROVIDER].place(account, wanted, deadline=request.app[keys.CLOCK].boot() + SEND_SECONDS)


def _failed(result: RefusedCall | UnsentCall) -> ApiError:
    if isinstance(result, RefusedCall):
        return ApiError(422, "refused", explain_call(result.code, result.message) or Text(msgid("The provider refused the call.")))
    return ApiError(503, "provider_away", Text(msgid("The provider cannot be reached. Please try again.")))
