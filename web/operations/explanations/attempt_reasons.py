"""What our own reasons of attempts mean, and what to do about each."""

from __future__ import annotations

from typing import Final

from dialer.model import AttemptReason
from web.server.i18n import msgid

COMES_AGAIN: Final = msgid("There is nothing to do: the lead went back to the queue.")
SETTLES: Final = msgid(
    "There is nothing to do: we find out from the provider whether there was a call. If it takes more than a few minutes, tell the "
    "people who run this system."
)
ASK: Final = msgid("Look for the call in the Twilio console, or ask the person, before you call the lead again.")
DECIDE: Final = msgid("Tell the people who run this system: they look for the call in the Twilio console and decide how it ended.")
DECIDED: Final = msgid("There is nothing to do.")
CONFIRMED: Final = msgid("The call was confirmed later.")
TELL: Final = msgid("If it happens again, tell the people who run this system.")

# What happened, and what to do: of a call that is not confirmed yet, where that matters.
EXPLANATIONS: Final = {
    AttemptReason.WITHDRAWN: (msgid("The call was taken back before it was sent."), COMES_AGAIN),
    AttemptReason.NO_CREDENTIALS: (msgid("The account of the business had just been changed, so the call was not sent."), COMES_AGAIN),
    AttemptReason.TOO_LATE: (msgid("There was no time left to send the call."), COMES_AGAIN),
    AttemptReason.DEADLINE: (msgid("The provider did not answer in time."), SETTLES),
    AttemptReason.CLIENT_FAULT: (msgid("The call failed because of an error in this system."), TELL),
    AttemptReason.EXPIRED: (msgid("The worker that placed the call did not report the result in time."), SETTLES),
    AttemptReason.NO_RESULT: (msgid("The worker that placed the call ended before it could report the result."), SETTLES),
    AttemptReason.NO_CALL_NAMED: (msgid("The provider's answer did not name a call."), SETTLES),
    AttemptReason.NOT_KNOWN: (msgid("The provider no longer has this call, so it is not known how it ended."), ASK),
    AttemptReason.NOT_LISTED: (
        msgid("The provider lists no such call: it was never placed, and the lead went back to the queue."),
        DECIDED,
    ),
    AttemptReason.ANOTHER_CALL: (msgid("The provider answered with a call that belongs to another lead."), DECIDE),
    AttemptReason.FORGOTTEN: (msgid("A restored database had lost this call. It was found in the provider's list."), SETTLES),
    AttemptReason.OLD_CALL: (msgid("The system that was used before placed this call."), SETTLES),
}
