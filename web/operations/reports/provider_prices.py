"""Asks the provider what the calls to a lead have cost; it knows some minutes after the end of each, and does not tell by itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from dialer.sealing import BrokenSealError
from telephony.provider import CallFacts
from web.server import keys

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.jobs.jobs import PriceQuery
    from web.access.auth import Principal

MOST_CALLS: Final = 8


async def ask_prices(request: http.Request, principal: Principal, run_id: int, job_id: int) -> int:
    """Ask for the prices of the newest calls that have none, and keep them; return how many the provider knew.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    calls = await request.app[keys.JOBS].calls_without_price(principal.business_id, run_id, job_id, limit=MOST_CALLS)
    if not calls:
        return 0
    await _remember_accounts(request, principal.business_id)
    return sum(await asyncio.gather(*(_ask(request, principal.business_id, call) for call in calls)))


async def _remember_accounts(request: http.Request, business_id: int) -> None:
    """Open the credentials of the business: a call is asked for with the account that placed it."""
    stored = await request.app[keys.ACCOUNT_ROWS].of(business_id)
    with suppress(BrokenSealError):
        request.app[keys.ACCOUNTS].account(business_id, None, stored)


async def _ask(request: http.Request, business_id: int, call: PriceQuery) -> bool:
    accounts = request.app[keys.ACCOUNTS]
    account = accounts.of(business_id, accounts.sid_of(call.account_sid))
    facts = await request.app[keys.PROVIDER].fetch(account, call.sid) if account else None
    if not isinstance(facts, CallFacts) or facts.price is None or not facts.price_unit:
        return False
    await request.app[keys.JOBS].keep_price(business_id, call.attempt_id, facts.price, facts.price_unit)
    return True
