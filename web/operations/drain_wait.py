"""Waits until no call of a run is being placed; after that, no request to place one is sent.

Needs only PostgreSQL: if a worker has died without reporting an attempt, that attempt becomes unknown two seconds after its `send_by`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dialer.policy.checks import EXPIRY_SECONDS, SEND_SECONDS
from web.server import keys

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.attempts.attempts import Fact

# Long enough for every attempt to be sent or to expire (protocol, sections 2 and 7), and for that to be recorded.
WAIT_SECONDS: Final = SEND_SECONDS + EXPIRY_SECONDS + 1.0
POLL_SECONDS: Final = 0.05


async def until_placed(app: http.Application, business_id: int, run_id: int) -> int:
    """Wait for at most eight seconds; return the number of attempts the provider has not confirmed."""
    uncertain = 0
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                placing, uncertain = await _poll_once(app, business_id, run_id)
                if not placing:
                    return uncertain
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return uncertain


async def _poll_once(app: http.Application, business_id: int, run_id: int) -> tuple[int, int]:
    """Record expired attempts as unknown; return how many attempts are still being placed, and how many are not confirmed."""
    attempts = await app[keys.ATTEMPTS].placing_of_run(business_id, run_id)
    expired = [fact for fact, unknown, past in attempts if past and not unknown]
    await _expire(app, expired)
    return sum(not unknown for _, unknown, _ in attempts) - len(expired), len(attempts)


async def _expire(app: http.Application, facts: list[Fact]) -> None:
    for fact in facts:
        await app[keys.FACTS].record(fact)
