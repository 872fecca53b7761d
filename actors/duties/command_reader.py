"""Reads dialer:commands into the inbox.

Every worker reads; who moves the position in PostgreSQL first has read it, and the others find it done. What is in the inbox is decided
by actors/duties/command_decider.py, a duty of its own: one of the two that has to wait does not stop the other.

On the road of a call: beside 1. Another service takes this door instead of the button.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from dialer.messages import MalformedError, keepable, parse_command
from dialer.streams.client import NOWHERE, RedisUnavailableError
from sql.commands.commands import MalformedCommand
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.services import Services
    from dialer.messages import Command

BLOCK_SECONDS = 1.0
AWAY_SECONDS = 1.0
# Somebody else was faster, and may not be done yet.
OVERTAKEN_SECONDS = 0.02

log = logging.getLogger(__name__)


class CommandReader:
    """The door for other services."""

    def __init__(self, services: Services, received: Callable[[], None]) -> None:
        """`received` is called when commands have come into the inbox."""
        self._services = services
        self._received = received
        self._closed = False

    def close(self) -> None:
        """Read no more; what is in the inbox stays there for another worker."""
        self._closed = True

    async def run(self) -> None:
        """Read until closed."""
        while not self._closed:
            try:
                await self._receive()
            except RedisUnavailableError:
                await asyncio.sleep(AWAY_SECONDS)
            except DatabaseUnavailableError as error:
                log.warning("commands of the stream wait: %s", error)
                await asyncio.sleep(AWAY_SECONDS)

    async def _receive(self) -> None:
        start = await self._services.commands.position()
        entries = await self._services.streams.commands_after(start, block_seconds=BLOCK_SECONDS)
        if entries:
            understood = [_understand(entry, fields) for entry, fields in entries]
            await self._keep(start, entries[-1][0], understood)
        elif _before(await self._services.streams.newest_command(), start):
            # The stream has lost its past, and numbers its entries anew from below: read it from its beginning.
            await self._services.commands.receive(start, NOWHERE, [])

    async def _keep(self, start: str, end: str, entries: Sequence[Command | MalformedCommand]) -> None:
        try:
            is_mine = await self._services.commands.receive(start, end, entries)
        except DatabaseUnavailableError:
            raise
        except Exception:
            log.exception("%d entries of dialer:commands cannot be received together", len(entries))
            await self._keep_apart(start, entries)
            return
        if not is_mine:
            await asyncio.sleep(OVERTAKEN_SECONDS)
            return
        self._received()
        await self._services.streams.forget_commands(end)

    async def _keep_apart(self, start: str, entries: Sequence[Command | MalformedCommand]) -> None:
        """One entry that PostgreSQL refuses must not stop those behind it: halve until it stands alone, then reject it."""
        if len(entries) == 1:
            # Without what it says: that is what cannot be kept.
            entry = entries[0].entry or start
            await self._services.commands.receive(start, entry, [MalformedCommand(entry, "cannot be kept", {})])
            return
        half = len(entries) // 2
        middle = entries[half - 1].entry or start
        await self._keep(start, middle, entries[:half])
        await self._keep(middle, entries[-1].entry or start, entries[half:])


def _understand(entry: str, fields: dict[str, str]) -> Command | MalformedCommand:
    try:
        return parse_command(fields, entry)
    except MalformedError as error:
        return MalformedCommand(entry, str(error), keepable(fields))


def _before(one: str, other: str) -> bool:
    return tuple(map(int, one.split("-"))) < tuple(map(int, other.split("-")))
