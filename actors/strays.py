"""After a fail-over or a restored backup: find the calls the log has forgotten, before the first lead is taken.

A call that was placed in the part of the history that is lost is still on the line, or has ended since; its lead says that it waits.

On the road of a call: beside 3, on the day after a disaster.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.call import SEND_SECONDS
from sql.histories import Stray

if TYPE_CHECKING:
    from actors.ports import World
    from sql.workers import Driven
    from telephony.provider import Account

log = logging.getLogger(__name__)


async def find_strays(world: World, account: Account, driven: Driven) -> bool:
    """Compare the calls of a business with what the provider lists; True when that was done, False when it is to be tried again.

    Raises:
        OSError, asyncpg.PostgresError: when PostgreSQL is away.
    """
    history = await world.histories.present(world.rules.lag_seconds + SEND_SECONDS)
    log.warning("business %d: the database has another history than before; in %.0f s its calls are listed and compared",
                driven.business_id, history.wait_seconds)  # fmt: skip
    await asyncio.sleep(history.wait_seconds)
    listing = await world.provider.list_calls(account, None, driven.caller_id, history.calls_from)
    epoch = world.held.epochs.get(driven.partition)
    if epoch is None or not listing.complete:
        return False
    calls = [Stray(call.sid, call.to, call.created_at) for call in listing.calls if call.created_at is not None]
    adopted = await world.histories.adopt_strays(
        world.held.incarnation, epoch, driven.business_id, history, calls, ring_seconds=world.rules.ring_seconds
    )
    if adopted is not None:
        log.warning("business %d: %d calls were found that the database had forgotten", driven.business_id, adopted)
    return adopted is not None
