"""Explains why a run paused itself, from the stored cause."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from dialer.model import PauseKind
from dialer.policy.call_prices import in_decimals
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
        msgid("{count} leads in a row were refused, so the campaign was paused. The last of those leads was refused because:"),
        msgid("Check the numbers of the list, then resume the campaign."),
    ),
    PauseKind.FOREIGN_ANSWERS: (
        msgid(
            "{foreign} of {count} calls in a row were answered by something other than the provider ({reason}), so the campaign was paused."
        ),
        msgid(
            "The people who run this system look for a proxy or a firewall between it and Twilio, and check TWILIO_API_URL. After that, "
            "resume the campaign."
        ),
    ),
    PauseKind.NO_ANSWERS: (
        msgid("{count} calls in a row got no usable answer from the provider ({reason}), so the campaign was paused."),
        msgid(
            "Resume the campaign when the provider works again: see status.twilio.com. If it lasts, tell the people who run this system."
        ),
    ),
    PauseKind.BUDGET: (
        msgid("The budget of {calls} calls is used up, so the campaign was paused."),
        msgid("Raise the budget, then resume the campaign."),
    ),
    PauseKind.BUDGET_AMOUNT: (
        msgid(
            "What is left of the budget ({left} {currency}) does not cover another call: up to {price} {currency} is reserved for each. "
            "The campaign was paused."
        ),
        msgid("Raise the budget by at least {missing} {currency}, then resume the campaign."),
    ),
    PauseKind.LOST_START: (
        msgid(
            "Calls of this campaign were found at the provider, but the database, restored from a backup, does not show that it "
            "was started."
        ),
        msgid("Check which leads were called, then resume or cancel the campaign."),
    ),
    PauseKind.ADOPTED: (
        msgid("The system that was used before did not finish this campaign."),
        msgid("Check which leads were called, then resume or cancel the campaign."),
    ),
}
ONE_CALL: Final = msgid("The budget of one call is used up, so the campaign was paused.")
# Codes of the account that are about some of its calls only.
REFUSED_IN_PART: Final = {
    **dict.fromkeys(
        (21215, 13227), msgid("Twilio refuses calls to this country from this account, so the campaign was paused. No lead was lost.")
    ),
    **dict.fromkeys(
        (21219, 573005), msgid("Twilio refuses calls to this number from this account, so the campaign was paused. No lead was lost.")
    ),
}
# For a cause that a newer version has stored.
UNKNOWN: Final = (
    msgid("The campaign paused itself: {reason}."),
    msgid("Tell the people who run this system, then resume the campaign."),
)


def explain_pause(last_error: str | None, cause: Mapping[str, Any] | None, *, to_other_leads: bool = False) -> Text | None:
    """Why a run paused itself, and what to do; an error without a cause is returned unchanged. None when it did not.

    `to_other_leads`: without what to do about the lead that was refused last.
    """
    if last_error is None or cause is None:
        return Text(last_error) if last_error else None
    meaning, remedy = SENTENCES.get(cause["kind"], UNKNOWN)
    if cause.get("calls") == 1:
        meaning = ONE_CALL
    values = _values(cause) if cause["kind"] in SENTENCES else {"reason": last_error.removesuffix(".")}
    last = (Text(remedy, values),)
    if "code" in cause:
        is_of_lead = cause["kind"] == PauseKind.LEADS_REFUSED
        with_remedy = not (to_other_leads and is_of_lead)
        last = (of_code(cause["code"], cause.get("message", ""), next_step=last, with_remedy=with_remedy),)
        meaning = meaning if is_of_lead else REFUSED_IN_PART.get(cause["code"], meaning)
    return Text(meaning, values, then=last)


def is_of_money(cause: Mapping[str, Any] | None) -> bool:
    """True when what was left of a budget in money did not cover another call."""
    return cause is not None and cause["kind"] == PauseKind.BUDGET_AMOUNT


def _values(cause: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the sentences name: the fields of the cause; of a budget in money also by how much it is too small."""
    if not is_of_money(cause):
        return cause
    left, price = Decimal(cause["left"]), Decimal(cause["price"])
    return {**cause, "left": in_decimals(max(left, Decimal())), "price": in_decimals(price), "missing": in_decimals(price - left)}
