"""Finds the provider account for a business or an earlier call: the business's own, or the default one of the settings.

A call is fetched and ended with the account that placed it; the business may have another one by now.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from telephony.provider import Account

if TYPE_CHECKING:
    from dialer.sealing import Seal


# Beyond this the least recently used is dropped; its calls are checked again once its business has been read again.
MAX_ACCOUNTS: Final = 10_000


class AccountBook:
    """The accounts of all businesses. Credentials are stored by business: one that names another's account does not get its token."""

    def __init__(self, default_sid: str, default_token: SecretStr, seal: Seal) -> None:
        """`seal` opens the stored auth tokens of businesses with accounts of their own."""
        self._default = Account(default_sid, default_token)
        self._seal = seal
        self._known: OrderedDict[tuple[int, str], Account] = OrderedDict()

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

    def placed_with(self, account_sid: str, auth_token_sealed: bytes | None) -> Account | None:
        """The account a call was placed with; None when it is not the default and no sealed token of it is given.

        Raises:
            dialer.sealing.BrokenSealError: when its token was sealed with another SECRET_KEY.
        """
        if self.is_default(account_sid):
            return self._default
        return None if auth_token_sealed is None else self._open(account_sid, auth_token_sealed)

    def account(self, business_id: int, account_sid: str | None, auth_token_sealed: bytes | None) -> Account:
        """The account of a business; the default one when it has none of its own.

        Raises:
            dialer.sealing.BrokenSealError: when its token was sealed with another SECRET_KEY.
        """
        if account_sid is None or auth_token_sealed is None:
            return self._default
        account = self._open(account_sid, auth_token_sealed)
        self._known[business_id, account_sid] = account
        self._known.move_to_end((business_id, account_sid))
        if len(self._known) > MAX_ACCOUNTS:
            self._known.popitem(last=False)
        return account

    def of(self, business_id: int, account_sid: str) -> Account | None:
        """The account that placed a call of this business; None when its credentials are not known here (any more)."""
        own = self._known.get((business_id, account_sid))
        return own or (self._default if self.is_default(account_sid) else None)

    def _open(self, account_sid: str, auth_token_sealed: bytes) -> Account:
        return Account(account_sid, SecretStr(self._seal.open(auth_token_sealed).decode()))
