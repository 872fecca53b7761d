"""Classifies answers that are not a call: one table for the answers to a POST, and for the ErrorCode of a callback.

Only a code that is known to be about the number may fail a lead. Any other refusal of the provider would hit the next lead too, so it
counts against the account. An answer the provider did not write itself (a proxy's page, a portal, half a body) proves nothing: the
request may have been forwarded. docs/refusals.md shows this table, and a test compares the two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Action(StrEnum):
    """The reaction to a refusal.

    `lead`: the lead fails. `account`: no call was made, the lead goes back to the front, the run is paused with the reason.
    `wait`: no call was made, the account pauses for a while. `unknown`: it is unknown whether there is a call.
    """

    LEAD = "lead"
    ACCOUNT = "account"
    WAIT = "wait"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: for a `code` of the provider, or for every code when it is None."""

    code: int | None
    action: Action
    meaning: str


# Twilio's error directory, https://www.twilio.com/docs/api/errors, as read in 2026. The 13xxx and 32xxx codes are documented for <Dial>
# and SIP, 21606 to 21626 for messages too; they are here because a call has been seen to be refused with them.
CODES: Final = (
    Rule(21202, Action.LEAD, "the number is a premium number"),
    Rule(21211, Action.LEAD, "the number is not valid"),
    Rule(21214, Action.LEAD, "the number cannot be reached"),
    Rule(21216, Action.LEAD, "the number is blocked by Twilio"),
    Rule(21217, Action.LEAD, "the number does not appear to be valid"),
    Rule(21610, Action.LEAD, "the person has opted out"),
    Rule(13223, Action.LEAD, "the number has an invalid format"),
    Rule(13224, Action.LEAD, "the number is invalid or not supported"),
    Rule(13225, Action.LEAD, "the number is blocked by Twilio"),
    Rule(13226, Action.LEAD, "the number has an unknown country code"),
    Rule(32205, Action.LEAD, "the number is blocked for its high risk of fraud"),
    Rule(10004, Action.WAIT, "the account has as many calls at once as it may have"),
    Rule(20429, Action.WAIT, "too many requests"),
    Rule(10001, Action.ACCOUNT, "the account is not active"),
    Rule(10002, Action.ACCOUNT, "a trial account does not support this"),
    Rule(20001, Action.ACCOUNT, "a parameter of the request is not valid"),
    Rule(20003, Action.ACCOUNT, "the account's credentials are wrong"),
    Rule(20005, Action.ACCOUNT, "the account is not active"),
    Rule(20008, Action.ACCOUNT, "test credentials cannot do this"),
    Rule(20403, Action.ACCOUNT, "the account may not do this"),
    Rule(20404, Action.ACCOUNT, "the account, or the address of the API, does not exist"),
    Rule(21201, Action.ACCOUNT, "the request has no number to call"),
    Rule(21205, Action.ACCOUNT, "the address of the script is not valid: see PUBLIC_URL"),
    Rule(21210, Action.ACCOUNT, "the caller id is not verified"),
    Rule(21212, Action.ACCOUNT, "the caller id is not valid"),
    Rule(21213, Action.ACCOUNT, "the request has no caller id"),
    Rule(21215, Action.ACCOUNT, "the account's geographic permissions do not allow this country"),
    Rule(13227, Action.ACCOUNT, "the account's geographic permissions do not allow this country"),
    Rule(21218, Action.ACCOUNT, "the application does not exist"),
    Rule(21219, Action.ACCOUNT, "a trial account may only call verified numbers"),
    Rule(573005, Action.ACCOUNT, "a trial account may only call verified numbers"),
    Rule(21234, Action.ACCOUNT, "the machine detection is not configured properly"),
    Rule(21606, Action.ACCOUNT, "the caller id is not one of the account's"),
    Rule(21609, Action.ACCOUNT, "the address of the callbacks is not valid: see PUBLIC_URL"),
    Rule(21626, Action.ACCOUNT, "the events of the callbacks are not valid"),
)

THROTTLED: Final = Rule(None, Action.WAIT, "429 of the provider, any code: not processed, safe to send again")
ANOTHER_CODE: Final = Rule(None, Action.ACCOUNT, "any other 4xx of the provider: not known to be about the number")
TIMED_OUT: Final = Rule(None, Action.UNKNOWN, "408 of the provider: the request may have been processed")
SERVER_ERROR: Final = Rule(None, Action.UNKNOWN, "5xx, whoever wrote it: the same answer whether there is a call or not")
FOREIGN: Final = Rule(
    None, Action.UNKNOWN, "anything the provider did not write: HTML, a proxy's 402, 403 or 407, a gateway's JSON, half a body, a redirect"
)
# In the order in which they are checked: the first that matches applies.
REST: Final = (SERVER_ERROR, FOREIGN, TIMED_OUT, THROTTLED, ANOTHER_CODE)

# The ErrorCode of a callback says why a call that was placed has failed. Whether a lead is called again is decided where the fact is
# recorded (sql/attempts/record_v1.sql): after these the account pauses; an account's code pauses the run; any other fails the lead.
CALLBACK_WAITS: Final = frozenset(rule.code for rule in CODES if rule.action is Action.WAIT)

# This many results of one kind in a row pause a run. A refusal of the account would hit every lead: one is enough. If all numbers are
# refused alike, the cause is not the numbers. Foreign answers come from a machine in between, which a person has to fix; a provider's own
# trouble mostly ends by itself, and the account pauses meanwhile.
ACCOUNT_IN_A_ROW: Final = 1
FOREIGN_IN_A_ROW: Final = 5
LEADS_IN_A_ROW: Final = 10
UNANSWERED_IN_A_ROW: Final = 20

# Codes have five digits or more. Smaller numbers are a gateway's: an HTTP status, a gRPC code, 0.
LOWEST_CODE: Final = 10_000

_BY_CODE: Final = {rule.code: rule for rule in CODES}
_SERVER_ERRORS: Final = 500
_TIMEOUT: Final = 408
_TOO_MANY: Final = 429
_REFUSALS: Final = range(400, 500)


def judge(status: int, code: int | None) -> Rule:
    """The rule for an answer with this HTTP status; `code` is the provider's own, None when the provider did not write the answer."""
    if status >= _SERVER_ERRORS:
        return SERVER_ERROR
    if code is None or status not in _REFUSALS:
        return FOREIGN
    if status == _TIMEOUT:
        return TIMED_OUT
    if status == _TOO_MANY:
        return THROTTLED
    return _BY_CODE.get(code, ANOTHER_CODE)


def own_code(status: int, body: str) -> int | None:
    """The provider's code in the body of an answer; None when the provider did not write it.

    The provider's errors are JSON objects with a `code` of five digits or more, a `message` (or, in the newer form, a `title`) and the HTTP
    status. Gateways write such objects too, with the HTTP status or a small number as `code`.
    """
    try:
        error: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(error, dict) or error.get("status", status) != status:
        return None
    code, message = error.get("code"), error.get("message", error.get("title"))
    return code if type(code) is int and code >= LOWEST_CODE and isinstance(message, str) else None
