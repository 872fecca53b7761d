"""Finds the account that placed a call, or is to place it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dialer.sealing import BrokenSealError

if TYPE_CHECKING:
    from actors.services import Services
    from telephony.provider import Account


async def account_of(services: Services, business_id: int, account_sid: str) -> Account | None:
    """This account of a business; None when its credentials are not stored, or cannot be opened.

    A new account, and the account of an idle business, is read from PostgreSQL.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    known = services.accounts.of(business_id, account_sid)
    if known is not None:
        return known
    business = await services.workers.business(business_id)
    if business is not None:
        with suppress(BrokenSealError):
            services.accounts.account(business.business_id, business.account_sid, business.accounts)
    return services.accounts.of(business_id, account_sid)
