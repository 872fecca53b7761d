"""Reads what Twilio says about an account: whether it accepts the credentials, its status, and the numbers it may call from.

What it does not say is not known: a 404, a time-out, an answer that is not Twilio's, or a resource that the credentials may not read.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from twilio.base.exceptions import TwilioException

from telephony.twilio.client import UNUSABLE, client_of
from telephony.twilio.connector import PooledHttpClient, exchange_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from datetime import datetime

    from dialer.clock import Clock
    from telephony.provider import Account

CONNECTIONS: Final = 8
READ_SECONDS: Final = 5.0
PAGE_SIZE: Final = 1_000
MAX_PAGES: Final = 10
STATUSES: Final = frozenset({"active", "suspended", "closed"})
# Twilio's own refusal of a sid, a token or a key.
WRONG_CREDENTIALS: Final = (401, 20003)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What Twilio says: `status` such as `active` or `suspended`, `numbers` in E.164, its own and the verified ones; None: not known.

    `at` is its clock when it answered, to the second.
    """

    refused: bool = False
    status: str | None = None
    numbers: frozenset[str] | None = None
    at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    """One resource; `found` None: no usable answer."""

    found: Any = None
    refused: bool = False
    at: datetime | None = None


class AccountReader:
    """Reads accounts from Twilio. Create it inside a running loop, and close it."""

    def __init__(self, api_url: str, clock: Clock) -> None:
        """Read from `api_url`."""
        self._api_url = api_url
        self._http = PooledHttpClient(clock, CONNECTIONS)

    async def close(self) -> None:
        """Close the pool of connections."""
        await self._http.close()

    async def read(self, account: Account) -> AccountFacts:
        """What Twilio says about this account, within 5 s; never raises for network or provider errors."""
        api = client_of(account, self._http, self._api_url).api.v2010.accounts(account.sid)
        described, numbers, caller_ids = await asyncio.gather(
            _answer(api.fetch_async),
            _answer(lambda: _numbers(api.incoming_phone_numbers)),
            _answer(lambda: _numbers(api.outgoing_caller_ids)),
        )
        # An API key may call and not read its account.
        refused = numbers.refused or (described.refused and not account.api_key_sid)
        known = None if numbers.found is None or caller_ids.found is None else numbers.found | caller_ids.found
        status = described.found.status if described.found is not None and described.found.sid == account.sid else None
        return AccountFacts(refused, status if status in STATUSES else None, known, described.at)

    async def denied_countries(self, account: Account, countries: Collection[str]) -> frozenset[str]:
        """Those of these countries (ISO 3166) that the account's geographic permissions exclude; one of which nothing is known is not."""
        voice = client_of(account, self._http, self._api_url).voice.v1.dialing_permissions
        answers = await asyncio.gather(*(_answer(voice.countries(country).fetch_async) for country in countries))
        permissions = zip(countries, (answer.found for answer in answers), strict=True)
        return frozenset(country for country, found in permissions if found is not None and found.low_risk_numbers_enabled is False)


async def _answer(ask: Callable[[], Awaitable[Any]]) -> _Answer:
    with exchange_until(math.inf) as exchange:
        try:
            async with asyncio.timeout(READ_SECONDS):
                return _Answer(await ask(), at=exchange.at)
        except (TwilioException, *UNUSABLE) as error:
            log.info("the provider does not say more about an account: %s", exchange.status or type(error).__name__)
            return _Answer(refused=(exchange.status, exchange.code) == WRONG_CREDENTIALS, at=exchange.at)


async def _numbers(resource: Any) -> frozenset[str] | None:  # noqa: ANN401 - the library has no types
    """All numbers of a list; None when it has more pages than we read."""
    numbers: set[str] = set()
    page = await resource.page_async(page_size=PAGE_SIZE)
    for _ in range(MAX_PAGES):
        numbers.update(str(item.phone_number) for item in page)
        page = await page.next_page_async()
        if page is None:
            return frozenset(numbers)
    return None
