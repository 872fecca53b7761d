"""Finds the provider account for a business or an earlier call: the business's own, or the default one of the settings.

A call is fetched and ended with the account that placed it; the business may have another one by now, and so may the settings.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import SecretStr

from dialer.credentials import secrets_of
from dialer.sealing import BrokenSealError
from telephony.account_credentials import AccountCredentials
from telephony.provider import Account

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dialer.sealing import Seal


# Beyond this the least recently used is dropped; its calls are checked again once its business has been read again.
MAX_ACCOUNTS: Final = 10_000
# As `sql.accounts.account_rows.Accounts.of` reads it: `account_sid`, `sealed` (the newest first), `calls_per_second`, `present`.
StoredAccount: TypeAlias = "Mapping[str, Any]"


class AccountBook:
    """The accounts of all businesses. Credentials are stored by business: one that names another's account does not get its token."""

    def __init__(self, default_sid: str, default_token: SecretStr, seal: Seal) -> None:
        """`default_token` is one auth token, or several separated by commas; `seal` opens the stored credentials."""
        tokens = tuple(SecretStr(token) for token in secrets_of(default_token.get_secret_value()) if token)
        self._default = Account(default_sid, tokens[0] if tokens else SecretStr(""), tokens)
        self._seal = seal
        self._known: OrderedDict[tuple[int, str], tuple[StoredAccount, Account]] = OrderedDict()
        # Of earlier settings, by sid.
        self._former_defaults: dict[str, Account] = {}

    @property
    def default(self) -> Account:
        """The account of businesses without one of their own."""
        return self._default

    def sid_of(self, account_sid: str | None) -> str:
        """The SID of a business's account: its own, else the default."""
        return account_sid or self._default.sid

    def is_default(self, account_sid: str) -> bool:
        """True when this is the SID of the default account."""
        return account_sid == self._default.sid

    def account(self, business_id: int, account_sid: str | None, stored: Sequence[StoredAccount]) -> Account:
        """Remember the `stored` accounts of a business; return its present one, the default one when it has none of its own.

        Raises:
            dialer.sealing.BrokenSealError: when the credentials of its own were sealed with a key that SECRET_KEY does not have.
        """
        for one in stored:
            with suppress(BrokenSealError):
                self._remember(business_id, one)
        if account_sid is None:
            return self._default
        present = next((one for one in stored if one["account_sid"] == account_sid), None)
        if present is None:
            raise BrokenSealError
        return self._remember(business_id, present)

    def of(self, business_id: int, account_sid: str) -> Account | None:
        """The account that placed a call of this business; None when its credentials are not known here (any more)."""
        own = self._known.get((business_id, account_sid))
        if own:
            return own[1]
        return self._default if self.is_default(account_sid) else self._former_defaults.get(account_sid)

    def signing_keys(self, account_sid: str, sealed: Sequence[str]) -> tuple[SecretStr, ...]:
        """The keys that may have signed the callbacks of an account, of which a business has these credentials stored.

        Raises:
            dialer.sealing.BrokenSealError: when there are some, and none of them can be opened.
        """
        settings = self._default if self.is_default(account_sid) else self._former_defaults.get(account_sid)
        of_settings = settings.signing if settings else ()
        opened = self._open_all(sealed)
        if sealed and not opened and not of_settings:
            raise BrokenSealError
        return of_settings + tuple(key for credentials in opened for key in credentials.signing)

    def entered(self, account_sid: str, credentials: AccountCredentials) -> Account:
        """An account that is about to be stored."""
        return Account(account_sid, credentials.secret, credentials.signing, credentials.api_key_sid)

    def seal(self, credentials: AccountCredentials) -> str:
        """The credentials as they are stored."""
        return credentials.sealed(self._seal)

    def renew(self, sealed: str) -> str:
        """The same credentials, sealed with the first key of SECRET_KEY.

        Raises:
            dialer.sealing.BrokenSealError: when none of its keys opens them.
        """
        return self._seal.renew(sealed.encode()).decode()

    def default_to_keep(self, stored: Sequence[StoredAccount]) -> str | None:
        """The credentials of the default account, sealed, when they are not the present ones of those `stored` for the installation.

        The stored ones are remembered: they finish the calls of a default account that the settings do not name any more.
        """
        for one in stored:
            with suppress(BrokenSealError):
                self._former_defaults[one["account_sid"]] = self._open(one)
        if not self._default.sid or not self._default.signing:
            return None
        present = [self._former_defaults.get(one["account_sid"]) for one in stored if one["present"]]
        if any(kept and (kept.sid, kept.secret) == (self._default.sid, self._default.secret) for kept in present):
            return None
        return self.seal(AccountCredentials(auth_token=self._default.secret.get_secret_value()))

    def _remember(self, business_id: int, stored: StoredAccount) -> Account:
        key = business_id, str(stored["account_sid"])
        known = self._known.get(key)
        if known is None or known[0] != stored:
            known = stored, self._open(stored)
            self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > MAX_ACCOUNTS:
            self._known.popitem(last=False)
        return known[1]

    def _open(self, stored: StoredAccount) -> Account:
        newest = AccountCredentials.opened(self._seal, stored["sealed"][0])
        signing = tuple(key for credentials in self._open_all(stored["sealed"]) for key in credentials.signing)
        return Account(stored["account_sid"], newest.secret, signing, newest.api_key_sid, stored["calls_per_second"])

    def _open_all(self, sealed: Sequence[str]) -> list[AccountCredentials]:
        opened = []
        for one in sealed:
            with suppress(BrokenSealError):
                opened.append(AccountCredentials.opened(self._seal, one))
        return opened
