"""The form of the provider account: entered, checked with the provider, and never shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from web.pages.settings.business_form import caller_ids, number
from web.server.errors import Text, counted
from web.server.i18n import msgid, msgids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sql.businesses.businesses import Business
    from telephony.twilio.account_reader import AccountFacts
    from web.pages.forms import Form

FIELDS: Final = ("account_sid", "auth_token", "api_key_sid", "api_key_secret", "signing_key")
LABELS: Final[Mapping[str, str]] = {
    "account_sid": msgid("Account SID"),
    "auth_token": msgid("Auth token"),
    "api_key_sid": msgid("API key SID"),
    "api_key_secret": msgid("API key secret"),
    "signing_key": msgid("Key that signs callbacks"),
    "caller_ids": msgid("Numbers of this account to call from"),
    "calls_per_second": msgid("Calls started a second"),
}
ACCEPTED: Final = msgid("Twilio accepts this account.")
NUMBERS: Final = msgids("It has {n} number to call from.", "It has {n} numbers to call from.")
NOT_KNOWN: Final = msgid("Twilio could not be asked about this account just now. It is used as it was entered.")


def values(business: Business) -> dict[str, Any]:
    """The fields as they are shown: of a stored account its sid alone."""
    own = {"account_sid": business.account_sid or "", "caller_ids": "\n".join(business.caller_ids)}
    return {**dict.fromkeys(FIELDS, ""), "calls_per_second": "", **own}


def changes(form: Form) -> dict[str, Any]:
    """The fields of `BusinessChanges`; without an account of its own the business uses that of the installation."""
    numbers = caller_ids(form)
    # Another account may have other numbers; only the two together can be checked.
    beside = {"caller_ids": numbers} if numbers and (is_complete(form) or form.get("use_default") == "1") else {}
    if form.get("use_default") == "1":
        return {"provider_account": None, **beside}
    given: dict[str, Any] = {name: form[name].strip() for name in FIELDS if form.get(name, "").strip()}
    pace = number(form.get("calls_per_second", ""))
    return {"provider_account": {**given, **({"calls_per_second": pace} if pace is not None else {})}, **beside}


def is_complete(form: Form) -> bool:
    """True once the provider can be asked about the account."""
    return bool(form.get("account_sid", "").strip()) and any(form.get(name, "").strip() for name in ("auth_token", "api_key_secret"))


def is_known(facts: AccountFacts) -> bool:
    """True when the provider has said anything about the account."""
    return facts.status is not None or facts.numbers is not None


def answer_of(facts: AccountFacts) -> Text:
    """What the provider says about an account that it does not refuse."""
    if not is_known(facts):
        return Text(NOT_KNOWN)
    return Text(ACCEPTED, then=() if facts.numbers is None else (counted(NUMBERS, len(facts.numbers), n=len(facts.numbers)),))
