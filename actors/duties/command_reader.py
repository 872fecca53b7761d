"""Reads dialer:commands into the inbox in PostgreSQL.

Every worker reads. The first to move the position in PostgreSQL has received the entries, and the others skip them. The inbox is decided
by a duty of its own, actors/duties/command_decider.py: when one of the two has to wait, the other goes on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors import worker_spans
from dialer.concurrency.loop import Loop
from dialer.messages import MalformedError, keepable, parse_command
from dialer.streams.client import NOWHERE
from dialer.streams.connection import MAX_ENTRIES_PER_READ
from sql.commands.commands import MalformedCommand
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.services import Services
    from dialer.messages import Command

BLOCK_SECONDS = 1.0
RETRY_SECONDS = 1.0
# Another worker was faster, and may not have finished yet.
OVERTAKEN_SECONDS = 0.02

log = logging.getLogger(__name__)


class CommandReader:
    """Receives the commands of other services."""

    def __init__(self, services: Services, received: Callable[[], None]) -> None:
        """`received` is called when commands have come into the inbox."""
        self._services = services
        self._received = received
        self._read_all_at = services.clock.boot()
        self.loop = Loop("commands", self._receive, pause=0.0, retry_seconds=RETRY_SECONDS)

    @property
    def lag_seconds(self) -> float:
        """How long ago the stream had been read to its end; it is read every second."""
        return self._services.clock.boot() - self._read_all_at

    async def _receive(self) -> None:
        start = await self._services.commands.position()
        entries = await self._services.streams.commands_after(start, block_seconds=BLOCK_SECONDS)
        if len(entries) < MAX_ENTRIES_PER_READ:
            self._read_all_at = self._services.clock.boot()
        if entries:
            parsed = [_parse(entry, fields) for entry, fields in entries]
            await self._keep(start, entries[-1][0], parsed)
        elif _before(await self._services.streams.newest_command(), start):
            # The stream has lost its past and numbers its entries from the start again: read it from its beginning.
            await self._services.commands.receive(start, NOWHERE, [])

    async def _keep(self, start: str, end: str, entries: Sequence[Command | MalformedCommand]) -> None:
        try:
            is_mine = await self._services.commands.receive(start, end, entries)
        except DatabaseUnavailableError:
            raise
        except Exception:
            log.exception("could not receive %d entries of dialer:commands together; trying halves", len(entries))
            await self._keep_halves(start, entries)
            return
        if not is_mine:
            await asyncio.sleep(OVERTAKEN_SECONDS)
            return
        worker_spans.commands_received(self._services, entries)
        self._received()
        await self._services.streams.forget_commands(end)

    async def _keep_halves(self, start: str, entries: Sequence[Command | MalformedCommand]) -> None:
        """One entry that PostgreSQL refuses must not stop those behind it: halve until it is alone, then reject it."""
        if len(entries) == 1:
            # Without its content: that is what PostgreSQL cannot store.
            entry = entries[0].entry or start
            await self._services.commands.receive(start, entry, [MalformedCommand(entry, "cannot be kept", {})])
            return
        half = len(entries) // 2
        middle = entries[half - 1].entry or start
        await self._keep(start, middle, entries[:half])
        await self._keep(middle, entries[-1].entry or start, entries[half:])


def _parse(entry: str, fields: dict[str, str]) -> Command | MalformedCommand:
    try:
        return parse_command(fields, entry)
    except MalformedError as error:
        return MalformedCommand(entry, str(error), keepable(fields))


def _before(one: str, other: str) -> bool:
    return tuple(map(int, one.split("-"))) < tuple(map(int, other.split("-")))
