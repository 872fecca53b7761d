"""Reads dialer:events once for the whole process, and passes each event to the bounded queues of the listeners.

A listener that is too slow, and every listener after Redis was unavailable, has missed events: it is marked so, and starts again from the
full state. No listener waits for another.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from dialer.concurrency.loop import wait_for_event
from dialer.streams.client import RedisUnavailableError
from dialer.streams.connection import MAX_ENTRIES_PER_READ
from web.events.frames import parse_id, read_entry, run_of_entry
from web.events.listener import Listener
from web.events.supervision import keep_running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from dialer.streams.client import Entry, Streams
    from web.events.frames import Id

# A business and one of its runs; None for all of them.
Topic: TypeAlias = tuple[int, int | None]

MAX_LISTENERS: Final = 10_000
MAX_LISTENERS_PER_BUSINESS: Final = 500
MAX_LISTENERS_PER_USER: Final = 100
READ_SECONDS: Final = 1.0
AWAY_SECONDS: Final = 0.5
# Replaying what a listener missed blocks the process for moments: one listener a business at a time, and a few in all.
RESUMING_AT_ONCE: Final = 4
REJECTS_WRITES: Final = "it rejects writes"

log = logging.getLogger(__name__)


class CrowdedError(Exception):
    """The process, the business or the user has as many listeners as allowed."""


class Fanout:
    """The reader and its listeners."""

    def __init__(self, streams: Streams) -> None:
        """Use with `async with`."""
        self._streams = streams
        self._topics: dict[Topic, set[Listener]] = defaultdict(set)
        self._per_business: Counter[int] = Counter()
        self._per_user: Counter[tuple[int, str]] = Counter()
        self._resuming = asyncio.Semaphore(RESUMING_AT_ONCE)
        self._resuming_of: dict[int, asyncio.Lock] = {}
        self._position: str | None = None
        self._tasks = asyncio.TaskGroup()
        self._stop = asyncio.Event()
        self.away = False
        # A listener that has read only up to here has missed more than is replayed.
        self.too_old: Id = (0, 0)

    async def __aenter__(self) -> Self:
        """Start reading."""
        await self._tasks.__aenter__()
        self._time = asyncio.get_running_loop().time
        self._read_all_at = self._time()
        self._reading = self._tasks.create_task(keep_running("the fan-out of events", self._run, self._stop, failed=self._lose_position))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop reading; cancelling a plain XREAD consumes nothing."""
        self.stop()
        self._reading.cancel()
        await self._tasks.__aexit__(None, None, None)

    def stop(self) -> None:
        """Wake every listener so that it ends."""
        self._stop.set()
        for listener in self._all():
            listener.wake()

    @property
    def stopping(self) -> bool:
        """True when the process is shutting down."""
        return self._stop.is_set()

    def watched(self, business_id: int) -> tuple[list[int], bool]:
        """The runs of a business that have listeners, and whether there is a listener to all of them."""
        runs = [run_id for business, run_id in self._topics if business == business_id and run_id is not None]
        return runs, (business_id, None) in self._topics

    @contextmanager
    def listen(self, business_id: int, run_id: int | None, user: str) -> Iterator[Listener]:
        """Listen to one run, or to all runs of the business when `run_id` is None; each `user` has a limit as well.

        Raises:
            CrowdedError: when there are too many listeners.
        """
        if (
            self._per_business.total() >= MAX_LISTENERS
            or self._per_business[business_id] >= MAX_LISTENERS_PER_BUSINESS
            or self._per_user[business_id, user] >= MAX_LISTENERS_PER_USER
        ):
            raise CrowdedError
        listener = Listener(business_id, run_id)
        self._topics[business_id, run_id].add(listener)
        self._per_business[business_id] += 1
        self._per_user[business_id, user] += 1
        try:
            yield listener
        finally:
            self._leave(listener, user)

    @property
    def lag_seconds(self) -> float:
        """How long ago the stream had been read to its end; it is read every second."""
        return self._time() - self._read_all_at

    @asynccontextmanager
    async def resuming(self, business_id: int) -> AsyncIterator[None]:
        """Wait for a turn to replay what a listener of this business missed."""
        async with self._resuming_of.setdefault(business_id, asyncio.Lock()), self._resuming:
            yield

    def _leave(self, listener: Listener, user: str) -> None:
        business_id, topic = listener.business_id, (listener.business_id, listener.run_id)
        self._topics[topic].discard(listener)
        if not self._topics[topic]:
            del self._topics[topic]
        self._per_business[business_id] -= 1
        self._per_user[business_id, user] -= 1
        if not self._per_user[business_id, user]:
            del self._per_user[business_id, user]
        if not self._per_business[business_id]:
            del self._per_business[business_id]
            self._resuming_of.pop(business_id, None)

    async def _run(self) -> None:
        while not self.stopping:
            try:
                await self._read()
            except RedisUnavailableError as error:
                if not self.away:
                    log.warning("Redis is unavailable, serving listeners from PostgreSQL: %s", error)
                    self._lose_position()
                await wait_for_event(self._stop, AWAY_SECONDS)

    async def _read(self) -> None:
        if not await self._streams.can_write():
            # No events can be published, so an empty stream does not mean that nothing happens.
            raise RedisUnavailableError(REJECTS_WRITES)
        if self._position is None:
            _, self._position = await self._streams.event_window()
            self.away = False
            # It may be another stream, with ids that start again.
            self.too_old = (0, 0)
            self._mark_missed()
        entries = await self._streams.events_after(self._position, block_seconds=READ_SECONDS)
        for entry in entries:
            self._position = entry[0]
            self._pass_on(entry)
        if len(entries) < MAX_ENTRIES_PER_READ:
            self._read_all_at = self._time()
        if not entries:
            await self._detect_new_stream()

    async def _detect_new_stream(self) -> None:
        """On a server that was flushed or replaced, ids start again, and nothing would come after our position for a long time."""
        _, newest = await self._streams.event_window()
        if self._position is not None and _order(newest) < _order(self._position):
            self._position = None

    def _pass_on(self, entry: Entry) -> None:
        about = run_of_entry(entry[1])
        if about is None or not (about in self._topics or (about[0], None) in self._topics):
            return
        event = read_entry(entry)
        if event is None:
            return
        for topic in ((event.business_id, event.run_id), (event.business_id, None)):
            for listener in self._topics.get(topic, ()):
                listener.put(event)

    def _lose_position(self) -> None:
        """Events published until the stream can be read again may be missing from it."""
        self.away = True
        self._position = None
        self._mark_missed()

    def _mark_missed(self) -> None:
        for listener in self._all():
            listener.mark_missed()

    def _all(self) -> list[Listener]:
        return [listener for listeners in self._topics.values() for listener in listeners]


def _order(text: str) -> Id:
    return parse_id(text) or (0, 0)
