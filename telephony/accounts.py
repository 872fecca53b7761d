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

    def account(self, business_id: int, account_sid: str | None, auth_token_sealed: bytes | None) -> Account:
        """The account of a business; the default one when it has none of its own.

        Raises:
            dialer.sealing.BrokenSealError: when its token was sealed with another SECRET_KEY.
        """
        if account_sid is None or auth_token_sealed is None:
            return self._default
        account = Account(account_sid, SecretStr(self._seal.open(auth_token_sealed).decode()))
        self._known[business_id, account_sid] = account
        self._known.move_to_end((business_id, account_sid))
        if len(self._known) > MAX_ACCOUNTS:
            self._known.popitem(last=False)
        return account

    def of(self, business_id: int, account_sid: str) -> Account | None:
        """The account that placed a call of this business; None when its credentials are not known here (any more)."""
        own = self._known.get((business_id, account_sid))
        return own or (self._default if account_sid == self._default.sid else None)
