"""The form of the provider account: entered, checked with the provider, and never shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from web.pages.settings.business_form import number

if TYPE_CHECKING:
    from sql.businesses.businesses import Business
    from web.pages.forms import Form

FIELDS: Final = ("account_sid", "auth_token", "api_key_sid", "api_key_secret", "signing_key")


def values(business: Business) -> dict[str, Any]:
    """The fields as they are shown: of a stored account its sid alone."""
    return {**dict.fromkeys(FIELDS, ""), "account_sid": business.account_sid or "", "calls_per_second": ""}


def changes(form: Form) -> dict[str, Any]:
    """The fields of `BusinessChanges`; without an account of its own the business uses that of the installation."""
    if form.get("use_default") == "1":
        return {"provider_account": None}
    given: dict[str, Any] = {name: form[name].strip() for name in FIELDS if form.get(name, "").strip()}
    pace = number(form.get("calls_per_second", ""))
    return {"provider_account": {**given, **({"calls_per_second": pace} if pace is not None else {})}}
