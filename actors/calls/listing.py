"""Lists the calls created since a given time by the database's clock, even if the provider's clock is behind it.

The provider compares the start of a list with its own clock, and shows the time of that clock only in its response. A list that may have
started too late is requested again, earlier by the difference between the two clocks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from actors.services import Services
    from telephony.provider import Account, Listing

# The provider's clock may differ from the database's by this much more than its response shows: the database's clock may have been set back
# before the present workers started.
UNKNOWN_OFFSET = timedelta(minutes=10)
ZERO = timedelta()


async def list_calls_since(
    services: Services,
    account: Account,
    numbers: tuple[str | None, str | None],
    since: datetime,
    *,
    as_of: datetime,
    began: float,
    margin: timedelta = UNKNOWN_OFFSET,
) -> Listing:
    """List the calls between `numbers` (to, from) created at `since` or later; `as_of` (database time) was read at `began` (boot clock).

    The list begins at least `margin` before `since`. It is not `complete` when one of its pages could not be read.
    """
    start = since - margin
    listing = await services.provider.list_calls(account, *numbers, start)
    behind = behind_by(listing, as_of, services.clock.boot() - began)
    if behind <= margin / 2:
        return listing
    return await services.provider.list_calls(account, *numbers, start - behind)


def behind_by(listing: Listing, as_of: datetime, elapsed_seconds: float) -> timedelta:
    """The upper bound of how far the provider's clock is behind the database's; zero when it is ahead or its time is unknown.

    `elapsed_seconds` is an upper bound on the time from the reading of the database's clock, `as_of`, to the response with the list.
    """
    if listing.at is None:
        return ZERO
    return max(as_of + timedelta(seconds=elapsed_seconds) - listing.at, ZERO)
