"""Twilio comes back: check the signature, apply the fact in PostgreSQL, tell the owner, 204.

One look-up and one write a request. The owner being dead, or Redis being empty, loses nothing: the fact is in PostgreSQL, and has freed
the slot, before anybody is told. While PostgreSQL is away the answer is 503, and Twilio comes again (`#rc=5&rp=all`).

On the road of a call: 6. The next is `sql/attempts.py`, and the owner hands the word to the waiting call (4).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from aiohttp import web as http
from multidict import MultiDict
from pydantic import SecretStr

from dialer.messages import CallChanged
from dialer.model import AttemptState, Reference
from dialer.sealing import BrokenSealError
from sql.attempts import Fact
from telephony import callbacks, script
from web import faults, keys
from web.faults import ApiError, Text
from web.i18n import msgid
from web.inputs import read, storable

if TYPE_CHECKING:
    from sql.attempts import Learned, Referred

routes = http.RouteTableDef()
log = logging.getLogger(__name__)

GREETING: Final = "Hello. This is an automated call. Thank you, and goodbye."
LANGUAGE: Final = "en-US"
# A call of an attempt in one of these should not exist, or not any more.
CLOSED: Final = frozenset({AttemptState.OVER, AttemptState.NOT_SENT, AttemptState.NOT_PLACED})


@dataclass(frozen=True, slots=True)
class Heard:
    """A request that Twilio signed, about an attempt that exists; `before` is how the attempt stood when it came."""

    reference: Reference
    before: Referred
    fact: callbacks.CallbackFact
    fields: dict[str, str]


@routes.post("/callbacks/{reference}")
async def status(request: http.Request) -> http.Response:
    """Apply what Twilio says of a call."""
    heard = await _hear(request)
    learned = await request.app[keys.LEDGER].learn(_fact(heard, heard.fact.state))
    await _tell(request, heard, learned)
    return http.Response(status=204)


@routes.post("/twiml/{reference}")
async def twiml(request: http.Request) -> http.Response:
    """Say what is said on a call that was answered: a greeting, or nothing on a call nobody should be having."""
    heard = await _hear(request)
    # Whoever asks what to say has been answered, whatever else the request says.
    state = AttemptState.OVER if heard.fact.state is AttemptState.OVER else AttemptState.LIVE
    learned = await request.app[keys.LEDGER].learn(_fact(heard, state))
    await _tell(request, heard, learned)
    unwanted = learned.hang_up or heard.before.hang_up or heard.before.state in CLOSED or learned.state in CLOSED
    text = script.hang_up() if unwanted else script.speech(GREETING, LANGUAGE)
    return http.Response(text=text, content_type="text/xml")


async def _hear(request: http.Request) -> Heard:
    """Find the attempt and check the signature.

    Raises:
        ApiError: 403 when Twilio did not sign it, whether or not the reference exists; 404 when it did and there is none; 400 when it
            cannot be read.
    """
    form = await _form(request)
    reference, before = await _refer(request)
    public_url = request.app[keys.SETTINGS].public_url
    token = _token(request, before)
    if not token.get_secret_value() or not callbacks.verify(public_url, request.raw_path, form, request.headers, token):
        raise _refused(request, "unsigned", _unsigned())
    if reference is None or before is None:
        raise _refused(request, "stranger", faults.not_found())
    try:
        fact = callbacks.parse(form)
    except ValueError as error:
        # Its message names the field, never the content.
        text = Text(msgid("This request cannot be understood."))
        unreadable = ApiError(400, "bad_request", text, details=[{"field": "body", "message": str(error)}])
        raise _refused(request, "unreadable", unreadable) from None
    return Heard(reference, before, fact, dict(form))


async def _form(request: http.Request) -> MultiDict[str]:
    body = await read(request)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=callbacks.MAX_FIELDS)
    except (UnicodeDecodeError, ValueError):
        pairs = []
    return MultiDict((name, value) for name, value in pairs if storable(name) and storable(value))


async def _refer(request: http.Request) -> tuple[Reference | None, Referred | None]:
    try:
        reference = Reference.parse(request.match_info["reference"])
    except ValueError:
        return None, None
    return reference, await request.app[keys.ATTEMPTS].refer(reference.business_id, reference.attempt_id, reference.nonce)


def _token(request: http.Request, before: Referred | None) -> SecretStr:
    if before is None or before.auth_token_sealed is None:
        return request.app[keys.SETTINGS].twilio_auth_token
    try:
        return SecretStr(request.app[keys.ACCOUNT_SEAL].open(before.auth_token_sealed).decode())
    except BrokenSealError:
        log.exception("the auth token of a business cannot be opened: was SECRET_KEY changed?")
        return SecretStr("")


def _fact(heard: Heard, state: AttemptState) -> Fact:
    fact = heard.fact
    return Fact(
        business_id=heard.reference.business_id,
        attempt_id=heard.reference.attempt_id,
        nonce=heard.reference.nonce,
        state=state,
        sid=fact.call_sid,
        outcome=fact.outcome,
        answered_by=fact.answered_by,
        duration=fact.duration_seconds,
        sequence=fact.sequence,
        error_code=fact.error_code,
        reason=f"SIP {fact.sip_code}" if fact.sip_code and fact.outcome == "failed" else None,
        callback=dict(heard.fields),
    )


async def _tell(request: http.Request, heard: Heard, learned: Learned) -> None:
    request.app[keys.METRICS].callbacks.labels(learned.verdict).inc()
    if learned.run_id is None or learned.job_id is None or learned.state is None or learned.partition is None:
        return
    if learned.verdict == "known" and not learned.hang_up:
        return
    named = heard.reference
    word = CallChanged(
        named.business_id, learned.run_id, learned.job_id, named.attempt_id, learned.state, learned.sid, hang_up=learned.hang_up
    )
    await request.app[keys.STREAMS].tell(learned.partition, word)


def _unsigned() -> ApiError:
    return ApiError(403, "unsigned", Text(msgid("This request is not signed by the provider.")))


def _refused(request: http.Request, verdict: str, error: ApiError) -> ApiError:
    request.app[keys.METRICS].callbacks.labels(verdict).inc()
    log.warning("a callback is refused: %s", verdict)
    return error
