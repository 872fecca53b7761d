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
    """One line of the table: for a `code` of the provider, or for every code when it is None.

    The `meaning` of a code is a sentence for users: the web process translates it, and adds what to do.
    """

    code: int | None
    action: Action
    meaning: str


# Twilio's error directory, https://www.twilio.com/docs/api/errors, as read in 2026. The 13xxx and 32xxx codes are documented for <Dial>
# and SIP, 21606 to 21626 for messages too; they are here because a call has been seen to be refused with them.
CODES: Final = (
    Rule(21202, Action.LEAD, "The number is a premium number."),
    Rule(21211, Action.LEAD, "The number is not valid."),
    Rule(21214, Action.LEAD, "The number cannot be reached."),
    Rule(21216, Action.LEAD, "Twilio blocks this number."),
    Rule(21217, Action.LEAD, "The number does not appear to be valid."),
    Rule(21610, Action.LEAD, "The person has asked not to be contacted."),
    Rule(13223, Action.LEAD, "The number has a wrong format."),
    Rule(13224, Action.LEAD, "The number is not valid, or Twilio cannot call it."),
    Rule(13225, Action.LEAD, "Twilio blocks this number."),
    Rule(13226, Action.LEAD, "The number has an unknown country code."),
    Rule(32205, Action.LEAD, "The number is blocked because of its high risk of fraud."),
    Rule(10004, Action.WAIT, "The Twilio account has as many calls at once as it may have."),
    Rule(20429, Action.WAIT, "Twilio received too many requests."),
    Rule(10001, Action.ACCOUNT, "The Twilio account is not active."),
    Rule(10002, Action.ACCOUNT, "A trial account of Twilio does not support this."),
    Rule(20001, Action.ACCOUNT, "Twilio does not accept a parameter of the request."),
    Rule(20003, Action.ACCOUNT, "The credentials of the Twilio account are wrong."),
    Rule(20005, Action.ACCOUNT, "The Twilio account is not active."),
    Rule(20008, Action.ACCOUNT, "Test credentials of Twilio cannot place calls."),
    Rule(20403, Action.ACCOUNT, "The Twilio account, or its API key, may not place calls."),
    Rule(20404, Action.ACCOUNT, "The Twilio account, or the address of its API, does not exist."),
    Rule(21201, Action.ACCOUNT, "The request has no number to call."),
    Rule(21205, Action.ACCOUNT, "Twilio does not accept the address of our script."),
    Rule(21210, Action.ACCOUNT, "The caller id is not verified in the Twilio account."),
    Rule(21212, Action.ACCOUNT, "The caller id is not a valid number."),
    Rule(21213, Action.ACCOUNT, "The request has no caller id."),
    Rule(21215, Action.ACCOUNT, "The geographic permissions of the Twilio account do not allow calls to this country."),
    Rule(13227, Action.ACCOUNT, "The geographic permissions of the Twilio account do not allow calls to this country."),
    Rule(21218, Action.ACCOUNT, "Twilio has no such application."),
    Rule(21219, Action.ACCOUNT, "A trial account of Twilio may only call verified numbers."),
    Rule(573005, Action.ACCOUNT, "The verification of this number in the trial account has not been completed."),
    Rule(21234, Action.ACCOUNT, "Machine detection is not set up properly."),
    Rule(21606, Action.ACCOUNT, "The caller id is not a number of the Twilio account."),
    Rule(21609, Action.ACCOUNT, "Twilio does not accept the address of our callbacks."),
    Rule(21626, Action.ACCOUNT, "Twilio does not accept the events of our callbacks."),
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
