"""After a fail-over or a restore, finds the calls that the database has lost, before the first lead is claimed.

A call placed in the lost part of the timeline is still in progress, or has ended since, while the database shows its lead as queued.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.calls.listing import list_calls_since
from actors.keyed_semaphore import KeyedSemaphore
from dialer.policy.checks import SEND_SECONDS
from sql.timelines.timelines import OrphanedCall

if TYPE_CHECKING:
    from actors.services import Services
    from sql.workers.workers import ActiveBusiness
    from telephony.provider import Account

# The limit is per account, so that an account whose lists hang does not delay the others.
LISTS_AT_ONCE = 4
# The pause after a failed list: lists are long, and other businesses are waiting for theirs.
SEARCH_AGAIN_SECONDS = 15.0

log = logging.getLogger(__name__)


class OrphanedCalls:
    """Finds the orphaned calls of all businesses of a worker."""

    def __init__(self, services: Services) -> None:
        """Fetch the lists through the provider of `services`, at most `LISTS_AT_ONCE` of each account at a time."""
        self._services = services
        self._account_limit: KeyedSemaphore[str] = KeyedSemaphore(LISTS_AT_ONCE)
        self._searching: set[int] = set()

    async def search(self, account: Account, business: ActiveBusiness) -> bool:
        """Find the lost calls, with one search per business at a time; True when it is complete, False when it has to be repeated.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        if business.business_id in self._searching:
            return False
        self._searching.add(business.business_id)
        try:
            done = await self.find(account, business)
            if not done:
                await asyncio.sleep(SEARCH_AGAIN_SECONDS)
            return done
        finally:
            self._searching.discard(business.business_id)

    async def find(self, account: Account, business: ActiveBusiness) -> bool:
        """Compare the calls of a business with the provider's list; True when that is done, False when it has to be repeated.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        services, business_id = self._services, business.business_id
        began = services.clock.boot()
        timeline = await services.timelines.present(business_id, services.policy.lag_seconds + SEND_SECONDS)
        if timeline is None:
            return True
        log.warning(
            "business %d: the database is on another timeline; comparing the calls of the business with the provider's list in %.0f s",
            business_id,
            timeline.wait_seconds,
        )
        await asyncio.sleep(timeline.wait_seconds)
        async with self._account_limit.hold(account.sid), services.list_limit.hold(business_id):
            # Better to list some known calls than to miss a lost one.
            listings = [
                await list_calls_since(services, account, (None, caller_id), timeline.calls_from, as_of=timeline.as_of, began=began)
                for caller_id in business.caller_ids
            ]
        epoch = services.ownership.epochs.get(business.partition)
        if epoch is None or not all(listing.complete for listing in listings):
            return False
        calls = [
            OrphanedCall(call.sid, call.to, call.created_at or timeline.calls_from, caller_id)
            for caller_id, listing in zip(business.caller_ids, listings, strict=True)
            for call in listing.calls
        ]
        adopted = await services.timelines.adopt_calls(
            services.ownership.incarnation,
            epoch,
            business_id,
            timeline,
            calls,
            ring_seconds=services.policy.ring_seconds,
            max_minutes=services.policy.max_minutes,
            account_sid=account.sid,
        )
        if adopted is not None:
            log.warning("business %d: adopted %d calls that the database had lost", business_id, adopted)
        return adopted is not None
