"""After a fail-over or a restored backup: find the calls the log has forgotten, before the first lead is taken.

A call that was placed in the part of the timeline that is lost is still on the line, or has ended since; its lead says that it waits.

On the road of a call: beside 3, on the day after a disaster.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.calls.call import SEND_SECONDS
from actors.calls.reconciler import UNKNOWN_OFFSET
from actors.turns import Turns
from sql.timelines.timelines import OrphanedCall

if TYPE_CHECKING:
    from actors.services import Services
    from sql.workers.workers import ActiveBusiness
    from telephony.provider import Account

# For each account: one that hangs keeps none of the others waiting.
LISTS_AT_ONCE = 4
# The provider's list could not be had; it is long, and others wait for theirs.
SEARCH_AGAIN_SECONDS = 15.0

log = logging.getLogger(__name__)


class OrphanedCalls:
    """Finds them, for all businesses of a worker."""

    def __init__(self, services: Services) -> None:
        """Ask for the lists through `services`'s provider, a few of an account at a time."""
        self._services = services
        self._lists: Turns[str] = Turns(LISTS_AT_ONCE)
        self._searched: set[int] = set()

    async def search(self, account: Account, driven: ActiveBusiness) -> bool:
        """Find what is forgotten, once at a time for each business; True when it was found, False when that is to be tried again.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
        """
        if driven.business_id in self._searched:
            return False
        self._searched.add(driven.business_id)
        try:
            found = await self.find(account, driven)
            if not found:
                await asyncio.sleep(SEARCH_AGAIN_SECONDS)
            return found
        finally:
            self._searched.discard(driven.business_id)

    async def find(self, account: Account, driven: ActiveBusiness) -> bool:
        """Compare the calls of a business with what the provider lists; True when that is done, False when it is to be tried again.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
        """
        services, business_id = self._services, driven.business_id
        timeline = await services.timelines.present(business_id, services.policy.lag_seconds + SEND_SECONDS)
        if timeline is None:
            return True
        log.warning("business %d: the database has another timeline; its calls are compared in %.0f s", business_id, timeline.wait_seconds)
        await asyncio.sleep(timeline.wait_seconds)
        async with self._lists.turn(account.sid), services.listing.turn(business_id):
            # The provider's clock may be behind the database's: better some calls more, which the log knows, than one less.
            since = timeline.calls_from - UNKNOWN_OFFSET
            listing = await services.provider.list_calls(account, None, driven.caller_id, since)
        epoch = services.ownership.epochs.get(driven.partition)
        if epoch is None or not listing.complete:
            return False
        calls = [OrphanedCall(call.sid, call.to, call.created_at or timeline.calls_from) for call in listing.calls]
        adopted = await services.timelines.adopt_calls(
            services.ownership.incarnation,
            epoch,
            business_id,
            timeline,
            calls,
            ring_seconds=services.policy.ring_seconds,
            account_sid=account.sid,
        )
        if adopted is not None:
            log.warning("business %d: %d calls were found that the database had forgotten", business_id, adopted)
        return adopted is not None
