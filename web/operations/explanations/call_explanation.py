"""Explains how a call ended from what is stored: the provider's code, and a reason of the provider or of ours."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dialer.model import AttemptReason, AttemptState, Outcome
from telephony import endings, refusals
from web.operations.explanations.attempt_reasons import COMES_AGAIN, CONFIRMED, DECIDE, DECIDED, EXPLANATIONS, SETTLES, TELL
from web.operations.explanations.principal_labels import label_of
from web.operations.explanations.remedies import CALL_AGAIN, CALL_LATER, REMEDIES, REPAIRED, SIP_REMEDIES
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

MEANINGS: Final = {**endings.CODES, **{rule.code: rule.meaning for rule in refusals.CODES if rule.code is not None}}
CODE: Final = msgid("Twilio error {code}.")
SIP_CODE: Final = msgid("SIP {code}.")
# A code that is in no table.
UNKNOWN_CODE: Final = msgid("The provider refused or ended the call for an unknown reason.")
PROVIDER_SAYS: Final = msgid("It says: {message}.")
LOOK_UP: Final = msgid("Look up the code in Twilio's error directory, or tell the people who run this system.")
UNKNOWN_SIP: Final = msgid("The telephone network could not connect the call.")
HTTP_STATUS: Final = msgid("The provider, or a server on the way to it, answered with an error (HTTP {status}).")
UNREACHABLE: Final = msgid("The provider could not be reached, or its answer could not be read ({reason}).")
SAID_OVER: Final = msgid("{name} said that this call is over.")
SAID_NOT_PLACED: Final = msgid("{name} said that this call was never placed.")
LATER_CONFIRMED: Final = msgid("The provider's first answer could not be read; the call was confirmed later.")
TAKEN_BACK: Final = msgid("The call waited too long in Twilio's queue, so we took it back; the lead is called again.")
NOT_TAKEN: Final = msgid("The lead could not be taken from the system that was used before; the load report of the campaign says why.")
CALLED_AGAIN: Final = msgid("The lead is called again.")
OTHER: Final = msgid("The call did not succeed: {reason}.")

# What our own client writes as the reason: `SIP 486`, `HTTP 503`, `HTTP 429, code 20429`, `ClientConnectorError (Connection refused)`.
SIP: Final = re.compile(r"SIP (\d{3})")
HTTP: Final = re.compile(r"HTTP (\d{3})(?:, code (\d{5,}))?")
EXCEPTION: Final = re.compile(r"[A-Z]\w*(?: \(.*\))?")
# Written by sql/adoption/old_runs.py.
REJECTED: Final = re.compile(r"rejected: .+", re.DOTALL)
# Written by sql/resolutions/resolve_v1.sql.
RESOLVED: Final = re.compile(r"resolved as (over|not_placed) by (.+)", re.DOTALL)


def resolver_of(reason: str | None) -> str | None:
    """Who said what became of a call, as the audit log has it; None for any other reason."""
    match = RESOLVED.fullmatch(reason or "")
    return match[2] if match else None


def explain_call(error_code: int | None, reason: str | None, resolver: Text | str | None = None) -> Text | None:
    """What happened to a call, and what to do; None when nothing is stored. A known code goes before the reason.

    `resolver` is the name of the person who said what became of it.
    """
    if error_code is None:
        return _of_reason(reason, resolver) if reason else None
    if error_code in MEANINGS or not reason or not SIP.fullmatch(reason):
        return of_code(error_code, reason or "")
    network = _of_reason(reason)
    return replace(network, then=(*network.then, Text(CODE, {"code": error_code})))


def explain_attempt(attempt: Mapping[str, Any]) -> Text | None:
    """The same for a stored attempt: what was not known of a call at first is told as it turned out."""
    reason = attempt["reason"] or ""
    explanation = explain_call(attempt["error_code"], attempt["reason"], attempt.get("resolver"))
    if attempt["outcome"] == Outcome.CANCELED and attempt["withdrawn_at"]:
        return Text(TAKEN_BACK)
    if attempt["error_code"] is not None or explanation is None:
        return explanation
    if attempt["sid"] is not None:
        return _confirmed(reason) or explanation
    if attempt["state"] == AttemptState.NOT_SENT and _is_of_network(reason):
        return replace(explanation, then=(Text(COMES_AGAIN),))
    return explanation


def _confirmed(reason: str) -> Text | None:
    """What is left to say of a reason that was uncertain, when the call is known; None for any other."""
    if reason == AttemptReason.FORGOTTEN:
        return Text(EXPLANATIONS[AttemptReason.FORGOTTEN][0], then=(Text(DECIDED),))
    if reason in EXPLANATIONS:
        meaning, remedy = EXPLANATIONS[AttemptReason(reason)]
        return Text(meaning, then=(Text(CONFIRMED),)) if remedy in {SETTLES, DECIDE} else None
    return Text(LATER_CONFIRMED) if _is_of_network(reason) else None


def _is_of_network(reason: str) -> bool:
    """True for an answer that could not be read, or none: it says nothing of the call."""
    http = HTTP.fullmatch(reason)
    return not http[2] if http else EXCEPTION.fullmatch(reason) is not None


def of_code(code: int, message: str = "", *, next_step: tuple[Text, ...] = (), with_remedy: bool = True) -> Text:
    """What a code of the provider means, what to do, and what to do after that; for a code in no table, its `message`."""
    number = Text(CODE, {"code": code})
    if code in MEANINGS:
        remedy = (Text(REMEDIES[code]),) if with_remedy else ()
        again = (Text(CALL_AGAIN),) if code in REPAIRED and not next_step else ()
        return Text(MEANINGS[code], then=(*remedy, *again, *next_step, number))
    said = (Text(PROVIDER_SAYS, {"message": _without_period(message)}),) if message else ()
    return Text(UNKNOWN_CODE, then=(*said, Text(LOOK_UP), *next_step, number))


def of_sip(code: int) -> Text:
    """What a SIP response to a call means, and what to do."""
    meaning, remedy = endings.SIP.get(code, UNKNOWN_SIP), SIP_REMEDIES.get(code, CALL_LATER)
    return Text(meaning, then=(Text(remedy), Text(SIP_CODE, {"code": code})))


def _of_reason(reason: str, resolver: Text | str | None = None) -> Text:
    if reason in EXPLANATIONS:
        meaning, remedy = EXPLANATIONS[AttemptReason(reason)]
        return Text(meaning, then=(Text(remedy),))
    if REJECTED.fullmatch(reason):
        return Text(NOT_TAKEN)
    if match := SIP.fullmatch(reason):
        return of_sip(int(match[1]))
    if match := HTTP.fullmatch(reason):
        return of_code(int(match[2])) if match[2] else Text(HTTP_STATUS, {"status": match[1]}, then=(Text(SETTLES),))
    if match := RESOLVED.fullmatch(reason):
        meaning, remedy = (SAID_OVER, DECIDED) if match[1] == "over" else (SAID_NOT_PLACED, CALLED_AGAIN)
        return Text(meaning, {"name": resolver or label_of(match[2])}, then=(Text(remedy),))
    meaning, remedy = (UNREACHABLE, SETTLES) if EXCEPTION.fullmatch(reason) else (OTHER, TELL)
    return Text(meaning, {"reason": _without_period(reason)}, then=(Text(remedy),))


def _without_period(text: str) -> str:
    return text.strip().removesuffix(".")
