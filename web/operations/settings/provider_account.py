"""The provider account of a business, as a person enters it: checked, then sealed, and never shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from dialer import credentials
from telephony.account_credentials import AccountCredentials
from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from sql.businesses.businesses import Business
    from telephony.accounts import AccountBook

MAX_SECRET_CHARACTERS: Final = 256
MIN_CALLS_PER_SECOND: Final = 0.01
MAX_CALLS_PER_SECOND: Final = 1000.0


def _checked(check: Callable[[str], str], kind: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        try:
            return check(text)
        except ValueError:
            refuse(kind)

    return checked


def _secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not 0 < len(text) <= MAX_SECRET_CHARACTERS:
        refuse("provider_secret")
    _checked(credentials.auth_token, "provider_secret")(text)
    return secret


AccountSid = Annotated[str, AfterValidator(_checked(credentials.account_sid, "account_sid"))]
ApiKeySid = Annotated[str, AfterValidator(_checked(credentials.api_key_sid, "api_key_sid"))]
Secret = Annotated[SecretStr, AfterValidator(_secret)]


class AccountInput(BaseModel):
    """`provider_account` of contract section 7: an auth token, or an API key and the key that signs its callbacks.

    Without any of these, only the pace of the present account changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    account_sid: AccountSid
    auth_token: Secret | None = None
    api_key_sid: ApiKeySid | None = None
    api_key_secret: Secret | None = None
    signing_key: Secret | None = None
    calls_per_second: Annotated[float, Field(ge=MIN_CALLS_PER_SECOND, le=MAX_CALLS_PER_SECOND, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> AccountInput:
        by_key = (self.api_key_sid is None, self.api_key_secret is None)
        signs = self.auth_token is not None or self.signing_key is not None
        if by_key == (True, True):
            wrong = self.signing_key is not None and self.auth_token is None
        else:
            wrong = by_key != (False, False) or not signs
        if wrong:
            refuse("provider_account")
        return self

    @property
    def has_credentials(self) -> bool:
        """False when only the pace is given."""
        return self.auth_token is not None or self.api_key_sid is not None

    @property
    def credentials(self) -> AccountCredentials:
        """The credentials in the clear, to be sealed."""
        return AccountCredentials(_text(self.auth_token), self.api_key_sid or "", _text(self.api_key_secret), _text(self.signing_key))

    def public(self) -> dict[str, Any]:
        """What may be stored in the clear and written to the audit log."""
        kind = self.credentials.kind if self.has_credentials else None
        return {"account_sid": self.account_sid, "credentials": kind, "calls_per_second": self.calls_per_second}


def check_account(business: Business, given: AccountInput | None, accounts: AccountBook) -> None:
    """Check that a business may have this account; None is the default account.

    Raises:
        ApiError: 422.
    """
    if given is None:
        if not accounts.default.sid:
            raise errors.wrong_field(name="provider_account", why=Text(msgid("cannot be null: this installation has no default account")))
    elif accounts.is_default(given.account_sid):
        why = Text(msgid("is the default account of this installation: give null as provider_account to use it"))
        raise errors.wrong_field(name="provider_account.account_sid", why=why)
    elif not given.has_credentials and given.account_sid != business.account_sid:
        why = Text(msgid('must have "auth_token", or "api_key_sid" and "api_key_secret" with "signing_key" or "auth_token"'))
        raise errors.wrong_field(name="provider_account", why=why)


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
