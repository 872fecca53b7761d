"""Whose calls a business makes: its own account, when it has one, or the default one of the settings.

On the road of a call: between 3, which knows the business, and 5, which needs its account; and at 6, to check a signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from telephony.provider import Account

if TYPE_CHECKING:
    from dialer.sealing import Seal


class AccountBook:
    """The accounts of all businesses."""

    def __init__(self, default_sid: str, default_token: SecretStr, seal: Seal) -> None:
        """`seal` opens the auth tokens that are kept for businesses with accounts of their own."""
        self._default = Account(default_sid, default_token)
        self._seal = seal

    def account(self, account_sid: str | None, auth_token_sealed: bytes | None) -> Account:
        """The account of a business; the default one when it has none of its own.

        Raises:
            dialer.sealing.BrokenSealError: when its token was sealed with another SECRET_KEY.
        """
        if account_sid is None or auth_token_sealed is None:
            return self._default
        return Account(account_sid, SecretStr(self._seal.open(auth_token_sealed).decode()))
