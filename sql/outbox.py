"""Events that must not be lost: written in the transaction of their change, relayed to dialer:events, then deleted.

Any number of processes may relay at once: each takes the oldest first, and Redis refuses a number it has seen, so the order holds
and nothing is told twice.

On the road of a call: after 7; this is how a screen learns of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self

from dialer.messages import Event
from dialer.streams import AwayError
from sql.pool import AWAY, LOCKED, to_disk
from sql.statements import statements

if TYPE_CHECKING:
    from types import TracebackType

    from dialer.streams import Streams
    from sql.pool import Pool

TEXT = statements("outbox")
MAX_EVENTS_AT_ONCE = 200
# Each process relays at once what it wrote itself; this finds what a process that died has left.
POLL_SECONDS = 1.0
TRIM_EVERY_ROUNDS = 60

log = logging.getLogger(__name__)


class Outbox:
    """The events not yet told, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def next(self, limit: int) -> list[Event]:
        """The oldest events, and they stay: what is told has happened, whatever falls over."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(TEXT["next"], limit)
            if rows:
                await to_disk(connection)
        return [
            Event(
                type=row["type"],
                business_id=row["business_id"],
                run_id=row["run_id"],
                job_id=row["job_id"],
                command_id=row["command_id"],
                at=row["at"],
                data=row["data"],
                serial=row["id"],
            )
            for row in rows
        ]

    async def delete(self, serials: list[int]) -> None:
        """Forget events that have been told."""
        await self._pool.execute(TEXT["delete"], serials)


class Relay:
    """A task that moves events from the outbox to the stream, when kicked and each second."""

    def __init__(self, outbox: Outbox, streams: Streams) -> None:
        """Begin with `async with`."""
        self._outbox = outbox
        self._streams = streams
        self._kicked = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._stopping = False

    def kick(self) -> None:
        """Something has been written: relay it now."""
        self._kicked.set()

    async def __aenter__(self) -> Self:
        """Start relaying."""
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Relay what is left, and stop."""
        self._stopping = True
        self._kicked.set()
        await self._tasks.__aexit__(None, None, None)

    async def relay(self) -> int:
        """Move the oldest events; return how many there were.

        Raises:
            AwayError, OSError, asyncpg.PostgresError: when one of the two is away; nothing is lost.
        """
        events = await self._outbox.next(MAX_EVENTS_AT_ONCE)
        if events:
            await self._streams.relay(events)
            await self._outbox.delete([event.serial for event in events if event.serial is not None])
        return len(events)

    async def _run(self) -> None:
        rounds = 0
        while not self._stopping:
            await self._wait()
            rounds += 1
            try:
                while await self.relay() == MAX_EVENTS_AT_ONCE:
                    pass
                if rounds % TRIM_EVERY_ROUNDS == 0:
                    await self._streams.trim_events()
            except (AwayError, *AWAY, *LOCKED) as error:
                log.warning("events wait in the outbox: %s", type(error).__name__)
            except Exception:
                # Whatever it is, the events behind it must not wait for a restart.
                log.exception("events wait in the outbox")

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._kicked.wait()
        except TimeoutError:
            pass
        self._kicked.clear()
