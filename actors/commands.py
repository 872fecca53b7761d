"""Reads dialer:commands into the inbox, lets PostgreSQL decide what waits there, and tells the owners.

Every worker reads; who moves the position in PostgreSQL first has read it, and the others find it done. What is decided, is decided
for one business at a time and in the order of the stream: one whose lane is locked holds up nobody else.

On the road of a call: beside 1. Another service takes this door instead of the button.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from dialer.messages import MalformedError, keepable, parse_command
from dialer.streams import NOWHERE, AwayError
from sql.commands import Malformed
from sql.pool import AWAY, LOCKED

if TYPE_CHECKING:
    from actors.ports import World
    from dialer.messages import Command
    from sql.commands import Applied

BLOCK_SECONDS = 1.0
AWAY_SECONDS = 1.0
BUSY_SECONDS = 0.005

log = logging.getLogger(__name__)


class CommandReader:
    """The door for other services."""

    def __init__(self, world: World) -> None:
        """Begin with `run`."""
        self._world = world
        self._closed = False

    def close(self) -> None:
        """Read no more; what is in the inbox stays there for another worker."""
        self._closed = True

    async def run(self) -> None:
        """Read, decide and tell, until closed."""
        while not self._closed:
            try:
                await self._receive()
                await self._decide()
            except AwayError:
                await self._decide_alone()
            except (*AWAY, *LOCKED) as error:
                log.warning("PostgreSQL is away: %s", type(error).__name__)
                await asyncio.sleep(AWAY_SECONDS)

    async def _receive(self) -> None:
        start = await self._world.commands.position()
        entries = await self._world.wire.commands_after(start, block_seconds=BLOCK_SECONDS)
        if entries:
            end = entries[-1][0]
            if await self._world.commands.receive(start, end, [_understand(entry, fields) for entry, fields in entries]):
                await self._world.wire.forget_commands(end)
        elif _before(await self._world.wire.newest_command(), start):
            # The stream has lost its past, and numbers its entries anew from below: read it from its beginning.
            await self._world.commands.receive(start, NOWHERE, [])

    async def _decide(self) -> None:
        waiting = await self._world.commands.waiting()
        while waiting and not self._closed:
            again = [business_id for business_id in waiting if await self._decide_for(business_id)]
            waiting = again
            if again:
                await asyncio.sleep(BUSY_SECONDS)

    async def _decide_alone(self) -> None:
        """Redis is away: what is in the inbox is decided all the same."""
        try:
            await self._decide()
        except (*AWAY, *LOCKED) as error:
            log.warning("PostgreSQL is away: %s", type(error).__name__)
        await asyncio.sleep(AWAY_SECONDS)

    async def _decide_for(self, business_id: int) -> bool:
        """Decide what waits for one business; True when it is to be asked again."""
        applied, again = await self._world.commands.apply_received(business_id)
        for one in applied:
            await self._tell(one)
        self._world.events.kick()
        return again

    async def _tell(self, applied: Applied) -> None:
        answer = applied.answer
        if answer.foreign:
            word = applied.word
            log.warning("[SECURITY] a command for business %d names run %d of another business", word.business_id, word.run_id)
        if answer.accepted and answer.partition is not None:
            await self._world.wire.tell(answer.partition, applied.word)


def _understand(entry: str, fields: dict[str, str]) -> Command | Malformed:
    try:
        return parse_command(fields, entry)
    except MalformedError as error:
        return Malformed(entry, str(error), keepable(fields))


def _before(one: str, other: str) -> bool:
    return tuple(map(int, one.split("-"))) < tuple(map(int, other.split("-")))
