"""What those hear who call the number back from which they were called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.scripts.script import Script
from dialer.sealing import BrokenSealError
from sql.errors import DatabaseUnavailableError
from telephony.twilio import twiml
from telephony.twilio.twiml import Addresses
from web.server import keys
from web.server.addresses import raw_local_path
from web.twilio.conversation import ANSWERED
from web.twilio.receiver import SignedRequest
from web.twilio.sentences import ENGLISH, Sentence, language_in, spoken
from web.twilio.signed_forms import form_of, twiml_response, unsigned

if TYPE_CHECKING:
    from aiohttp import web as http
    from multidict import MultiDict
    from pydantic import SecretStr

    from sql.scripts.scripts import InboundScript
    from telephony.accounts import AccountBook

# Businesses of one installation that may call from the same number of the default account.
MOST_BUSINESSES: Final = 20
SEGMENT: Final = "inbound"


def setup(app: http.Application, prefix: str) -> None:
    """Register the address that a number is given at Twilio for incoming calls."""
    app.router.add_post(f"{prefix}/twiml/{SEGMENT}", incoming_call)
    app.router.add_post(f"{prefix}/twiml/{SEGMENT}/dialled", agent_dialled)


async def incoming_call(request: http.Request) -> http.Response:
    """The script of the business that calls from this number; a sentence, when it has none, or several share the number."""
    form = await form_of(request)
    business = await _business(request, form)
    if business is None or business.script is None:
        return twiml_response(twiml.speech(spoken(Sentence.INBOUND, _language(business))))
    address = f"{request.app[keys.SETTINGS].public_url}/twiml/{SEGMENT}"
    script = Script.model_validate(business.script)
    return twiml_response(twiml.conversation(script, {}, Addresses(address, f"{address}/dialled"), form["To"]))


async def agent_dialled(request: http.Request) -> http.Response:
    """What the caller hears after the call to an agent has ended."""
    form = await form_of(request)
    business = await _business(request, form)
    if form.get("DialCallStatus", "") in ANSWERED:
        return twiml_response(twiml.hang_up())
    return twiml_response(twiml.speech(spoken(Sentence.NO_AGENT, _language(business))))


def _language(business: InboundScript | None) -> str:
    return language_in(business.region) if business else ENGLISH


async def _business(request: http.Request, form: MultiDict[str]) -> InboundScript | None:
    """The business whose number was called; None when it is not known, or when several call from it.

    Raises:
        ApiError: 403, when neither the account of one of them nor the default account has signed the request.
    """
    try:
        found = await request.app[keys.SCRIPTS].inbound(form.get("To", ""), MOST_BUSINESSES)
    except DatabaseUnavailableError:
        found = []
    signed = SignedRequest("", raw_local_path(request), request.headers, form)
    is_signed, accounts = request.app[keys.CALLBACKS].is_signed, request.app[keys.ACCOUNTS]
    own = [business for business in found if is_signed(signed, _signing(accounts, business))]
    if not own and not is_signed(signed, accounts.default.signing):
        raise unsigned(request)
    return own[0] if len(own) == 1 else None


def _signing(accounts: AccountBook, business: InboundScript) -> tuple[SecretStr, ...]:
    if business.account_sid is None:
        return accounts.default.signing
    try:
        return accounts.signing_keys(business.account_sid, business.sealed)
    except BrokenSealError:
        return ()
