"""Events that must not be lost: written in the transaction of their change, relayed to dialer:events, then deleted.

Any number of processes may relay at once: each takes the oldest first, and Redis rejects a serial it has seen, so the order is kept and
nothing is published twice. Nothing is dropped: an event that Redis refuses stays here, for ever if need be.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from dialer.concurrency.loop import Loop
from dialer.messages import Event
from dialer.streams.client import RedisUnavailableError
from dialer.streams.relay_script import topic_of
from sql.errors import DatabaseUnavailableError
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from types import TracebackType

    from dialer.streams.client import Streams
    from dialer.streams.relay_script import Topic
    from sql.pool import Pool

TEXT = statements("outbox")
MAX_EVENTS_AT_ONCE = 200
# Each process relays its own events immediately; polling finds those of a process that died.
POLL_SECONDS = 1.0
TRIM_EVERY_ROUNDS = 60
# When Redis refuses an event of a run, retry that run after this; the events of other runs are relayed meanwhile.
SET_ASIDE_SECONDS = 15.0

log = logging.getLogger(__name__)


class Outbox:
    """The events not yet published, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def next(self, limit: int, without: Collection[Topic] = ()) -> list[Event]:
        """The oldest events, except those of the runs in `without`. Flushed first: a published event must survive a crash."""
        async with self._pool.writing() as (connection, flush):
            # Business and run in one number, as the statement compares them: its plan must stay a plain scan along the ids.
            rows = await connection.fetch(TEXT["next"], limit, [(business_id << 32) + (run_id or 0) for business_id, run_id in without])
            if rows:
                await flush()
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
        """Delete events that have been published; the same statement makes their deliveries to webhooks."""
        await self._pool.execute(TEXT["delete"], serials)


class Relay:
    """A task that moves events from the outbox to the stream, when kicked and every second."""

    def __init__(self, outbox: Outbox, streams: Streams) -> None:
        """Use with `async with`."""
        self._outbox = outbox
        self._streams = streams
        self._loop = Loop("relay", self._round, pause=POLL_SECONDS)
        self._tasks = asyncio.TaskGroup()
        self._rounds = 0
        # By run: when it was set aside, by the loop's clock.
        self._set_aside: dict[Topic, float] = {}
        self._reported: set[Topic] = set()
        self._problem = ""

    def kick(self) -> None:
        """Events have been written: relay them now."""
        self._loop.ring()

    async def __aenter__(self) -> Self:
        """Start relaying."""
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Flush, and stop."""
        self._loop.close()
        await self._tasks.__aexit__(None, None, None)

    async def relay(self) -> int:
        """Move the oldest events; return how many were read, 0 when none of them could be moved.

        Raises:
            RedisUnavailableError, DatabaseUnavailableError: when one of the two is unavailable; nothing is lost.
        """
        read_at = await self._streams.time()
        events = await self._outbox.next(MAX_EVENTS_AT_ONCE, self._runs_set_aside())
        if not events:
            return 0
        relayed = await self._streams.relay(events, read_at)
        self._set_runs_aside(relayed.refused)
        if not relayed.published:
            return 0
        self._reported -= {topic_of(event) for event in events} - relayed.refused.keys()
        await self._outbox.delete(list(relayed.published))
        # If this fails, the marks of these events stay for days and cost some memory of Redis, nothing else.
        with suppress(RedisUnavailableError):
            await self._streams.confirm(relayed.published)
        return len(events)

    def _runs_set_aside(self) -> list[Topic]:
        now = asyncio.get_running_loop().time()
        self._set_aside = {topic: at for topic, at in self._set_aside.items() if now - at < SET_ASIDE_SECONDS}
        return list(self._set_aside)

    def _set_runs_aside(self, refused: dict[Topic, str]) -> None:
        now = asyncio.get_running_loop().time()
        for topic, error in refused.items():
            self._set_aside[topic] = now
            if topic not in self._reported:
                self._reported.add(topic)
                log.error("Redis refuses an event of business %d, run %s; its events stay in the outbox: %s", *topic, error)

    async def _run(self) -> None:
        await self._loop.run()
        await self._attempt(self._relay_all)

    async def _round(self) -> None:
        self._rounds += 1
        await self._attempt(self._relay_all)
        # Also when nothing could be relayed: trimming makes room in a Redis that is full.
        if self._rounds % TRIM_EVERY_ROUNDS == 0:
            await self._attempt(self._streams.trim_events)

    async def _relay_all(self) -> None:
        while await self.relay() == MAX_EVENTS_AT_ONCE:
            pass
        if self._problem:
            log.info("relaying events again")
            self._problem = ""

    async def _attempt(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (RedisUnavailableError, DatabaseUnavailableError) as error:
            # Log each reason once, not every second.
            reason = f"{type(error).__name__} {error if isinstance(error, RedisUnavailableError) else ''}".strip()
            if reason != self._problem:
                log.warning("cannot relay events, they stay in the outbox: %s", reason)
            self._problem = reason
        except Exception:
            # Whatever the error, the other events must not wait for a restart.
            log.exception("cannot relay events, they stay in the outbox")
