"""What is done in the background: heartbeats on driven runs, the rows of cancelled runs, runs nobody ended, commands to forget.

On the road of a call: not on it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sql.pool import AWAY, LOCKED

if TYPE_CHECKING:
    from actors.ports import World

ROUND_SECONDS = 1.0
# lock_ts is never older than 30 s while a run is driven (contract, section 3).
HEARTBEAT_SECONDS = 10.0
SWEEP_EVERY_ROUNDS = 10
MAX_RUNS = 100
CHUNK_ROWS = 1_000
MAX_FORGOTTEN = 1_000

log = logging.getLogger(__name__)


class Housekeeping:
    """The chores of a worker, for its own partitions."""

    def __init__(self, world: World, name: str) -> None:
        """`name` is what runs show as `locked_by_worker`."""
        self._world = world
        self._name = name
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Stop after the step at hand."""
        self._closing.set()

    async def run(self) -> None:
        """Do the chores until closed."""
        rounds = 0
        while not self._closing.is_set():
            try:
                await self._round(sweep=rounds % SWEEP_EVERY_ROUNDS == 0)
            except (*AWAY, *LOCKED) as error:
                log.warning("PostgreSQL is away: %s", type(error).__name__)
            rounds += 1
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                pass

    async def _round(self, *, sweep: bool) -> None:
        mine = list(self._world.held.epochs)
        if not mine:
            return
        await self._world.fleet.heartbeat(self._world.held.incarnation, self._name, HEARTBEAT_SECONDS)
        for business_id, run_id in await self._world.runs.to_rewrite(mine, MAX_RUNS):
            await self._rewrite(business_id, run_id)
        if sweep:
            ended = await self._world.runs.end_if_done(mine, MAX_RUNS)
            if ended:
                log.error("%d runs had nothing left and were not ended: ended now", ended)
            await self._world.commands.forget(MAX_FORGOTTEN)

    async def _rewrite(self, business_id: int, run_id: int) -> None:
        start: int | None = 1
        while start is not None and not self._closing.is_set():
            start = await self._world.runs.rewrite(business_id, run_id, start, CHUNK_ROWS)
