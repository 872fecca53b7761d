"""Says what became of a call, from what is stored of it: the provider's code, and a reason of its own or of ours."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from dialer.model import AttemptReason
from telephony import endings, refusals
from web.operations.explanations.attempt_reasons import EXPLANATIONS, SETTLES, TELL
from web.operations.explanations.remedies import CALL_LATER, REMEDIES, SIP_REMEDIES
from web.server.errors import Text
from web.server.i18n import msgid

MEANINGS: Final = {**endings.CODES, **{rule.code: rule.meaning for rule in refusals.CODES if rule.code is not None}}
CODE: Final = msgid("Twilio error {code}.")
SIP_CODE: Final = msgid("SIP {code}.")
# A code that is in no table.
UNKNOWN_CODE: Final = msgid("The provider refused or ended the call for a reason that we do not know.")
PROVIDER_SAYS: Final = msgid("It says: {message}.")
LOOK_UP: Final = msgid("Look up the code in Twilio's error directory, or tell the people who run this system.")
UNKNOWN_SIP: Final = msgid("The telephone network could not connect the call.")
HTTP_STATUS: Final = msgid("The provider, or something on the way to it, answered with an error (HTTP {status}).")
UNREACHABLE: Final = msgid("The provider could not be reached, or its answer could not be read ({reason}).")
SAID_OVER: Final = msgid("{name} said that this call is over.")
SAID_NOT_PLACED: Final = msgid("{name} said that this call was never placed.")
DECIDED: Final = msgid("There is nothing to do.")
OTHER: Final = msgid("The call did not succeed: {reason}.")

# What our own client writes as the reason: `SIP 486`, `HTTP 503`, `HTTP 429, code 20429`, `ClientConnectorError (Connection refused)`.
SIP: Final = re.compile(r"SIP (\d{3})")
HTTP: Final = re.compile(r"HTTP (\d{3})(?:, code (\d{5,}))?")
EXCEPTION: Final = re.compile(r"[A-Z]\w*(?: \(.*\))?")
# Written by sql/resolutions/resolve_v1.sql.
RESOLVED: Final = re.compile(r"resolved as (over|not_placed) by (.+)", re.DOTALL)


def explain_call(error_code: int | None, reason: str | None) -> Text | None:
    """What happened to a call, and what to do; None when nothing is stored of it. The code says more than the reason."""
    if error_code is None:
        return _of_reason(reason) if reason else None
    if error_code in MEANINGS or not reason or not SIP.fullmatch(reason):
        return of_code(error_code, reason or "")
    network = _of_reason(reason)
    return replace(network, then=(*network.then, Text(CODE, {"code": error_code})))


def of_code(code: int, message: str = "", *, next_step: tuple[Text, ...] = ()) -> Text:
    """What a code of the provider means, what to do, and what to do after that; of one that is in no table, its `message`."""
    number = Text(CODE, {"code": code})
    if code in MEANINGS:
        return Text(MEANINGS[code], then=(Text(REMEDIES[code]), *next_step, number))
    said = (Text(PROVIDER_SAYS, {"message": _without_period(message)}),) if message else ()
    return Text(UNKNOWN_CODE, then=(*said, Text(LOOK_UP), *next_step, number))


def of_sip(code: int) -> Text:
    """What a SIP response to a call means, and what to do."""
    meaning, remedy = endings.SIP.get(code, UNKNOWN_SIP), SIP_REMEDIES.get(code, CALL_LATER)
    return Text(meaning, then=(Text(remedy), Text(SIP_CODE, {"code": code})))


def _of_reason(reason: str) -> Text:
    if reason in EXPLANATIONS:
        meaning, remedy = EXPLANATIONS[AttemptReason(reason)]
        return Text(meaning, then=(Text(remedy),))
    if match := SIP.fullmatch(reason):
        return of_sip(int(match[1]))
    if match := HTTP.fullmatch(reason):
        return of_code(int(match[2])) if match[2] else Text(HTTP_STATUS, {"status": match[1]}, then=(Text(SETTLES),))
    if match := RESOLVED.fullmatch(reason):
        return Text(SAID_OVER if match[1] == "over" else SAID_NOT_PLACED, {"name": match[2]}, then=(Text(DECIDED),))
    meaning = UNREACHABLE if EXCEPTION.fullmatch(reason) else OTHER
    return Text(meaning, {"reason": _without_period(reason)}, then=(Text(TELL),))


def _without_period(text: str) -> str:
    return text.strip().removesuffix(".")
