"""Says why a run paused itself, from the cause that is stored with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.model import PauseKind
from web.operations.explanations.call_explanation import of_code
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

# What happened, and what to do; between the two, what the provider's code means.
SENTENCES: Final = {
    PauseKind.ACCOUNT_REFUSED: (
        msgid("Twilio refuses the calls of this business, so the campaign was paused. No lead was lost."),
        msgid("Then resume the campaign."),
    ),
    PauseKind.LEADS_REFUSED: (
        msgid("{count} leads in a row were refused, so the campaign was paused. The last one:"),
        msgid("Check the numbers of the list, then resume the campaign."),
    ),
    PauseKind.FOREIGN_ANSWERS: (
        msgid(
            "{foreign} of {count} calls in a row were answered by something else than the provider ({reason}), so the campaign was paused."
        ),
        msgid(
            "The people who run this system look for a proxy or a firewall between it and Twilio, and check TWILIO_API_URL. After that, "
            "resume the campaign."
        ),
    ),
    PauseKind.NO_ANSWERS: (
        msgid("{count} calls in a row had no usable answer of the provider ({reason}), so the campaign was paused."),
        msgid(
            "Resume the campaign when the provider works again: see status.twilio.com. If it lasts, tell the people who run this system."
        ),
    ),
    PauseKind.BUDGET: (
        msgid("The budget of {calls} calls is used up, so the campaign was paused."),
        msgid("Raise the budget, then resume the campaign."),
    ),
    PauseKind.LOST_START: (
        msgid(
            "Calls of this campaign were found at the provider, but the database does not know that it was started: it was restored from a "
            "backup."
        ),
        msgid("Check which leads were called, then resume or cancel the campaign."),
    ),
}
# A cause that is not known here: a newer version has stored it.
UNKNOWN: Final = (
    msgid("The campaign paused itself: {reason}."),
    msgid("Tell the people who run this system, then resume the campaign."),
)


def explain_pause(last_error: str | None, cause: Mapping[str, Any] | None) -> Text | None:
    """Why a run paused itself, and what to do; what is stored without a cause is given as it is. None when it did not."""
    if last_error is None or cause is None:
        return Text(last_error) if last_error else None
    meaning, remedy = SENTENCES.get(cause["kind"], UNKNOWN)
    values = cause if cause["kind"] in SENTENCES else {"reason": last_error.removesuffix(".")}
    last = (Text(remedy),)
    if "code" in cause:
        last = (of_code(cause["code"], cause.get("message", ""), next_step=last),)
    return Text(meaning, values, then=last)
