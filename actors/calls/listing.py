"""Lists the calls the provider has created since a time of the database's clock, however far behind that the provider's clock is.

The provider compares the start of a list with its own clock, and shows that clock with its answer only. So a list that may have started
too late is requested again, from as much earlier as the clock was behind.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from actors.services import Services
    from telephony.provider import Account, Listing

# The provider's clock may differ from the database's by what its answer shows, and by this much more: the database's clock may have been
# set back while no present worker was watching.
UNKNOWN_OFFSET = timedelta(minutes=10)
NONE = timedelta()


async def list_calls_since(
    services: Services,
    account: Account,
    numbers: tuple[str | None, str],
    since: datetime,
    *,
    as_of: datetime,
    began: float,
    margin: timedelta = UNKNOWN_OFFSET,
) -> Listing:
    """Every call between `numbers` (to, from) created at `since` or later; the database's clock was `as_of` when ours was `began` (boot).

    Calls of `margin` before that, and some more, are listed too. The list is not complete when the provider's clock cannot be reached.
    """
    start = since - margin
    listing = await services.provider.list_calls(account, *numbers, start)
    behind = behind_by(listing, as_of, services.clock.boot() - began)
    if behind <= margin / 2:
        return listing
    return await services.provider.list_calls(account, *numbers, start - behind)


def behind_by(listing: Listing, as_of: datetime, elapsed_seconds: float) -> timedelta:
    """How far the provider's clock is behind the database's, at most; zero when it is ahead, or not shown.

    `elapsed_seconds` is the longest time from reading the database's clock, `as_of`, to the answer with the list.
    """
    if listing.at is None:
        return NONE
    return max(as_of + timedelta(seconds=elapsed_seconds) - listing.at, NONE)
