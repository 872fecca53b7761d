"""One reader of dialer:events a process, and a bounded queue for each browser that listens.

A listener that is too slow, and every listener after Redis was away, has missed something: it is told so and begins anew from the whole
state. Nobody waits for anybody.

On the road of a call: after 7; what has changed comes past here on its way to the screens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from dialer.concurrency.loop import wait_for_event
from dialer.streams.client import RedisUnavailableError
from web.events.frames import parse_id, read_entry
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
# Going through what a listener missed takes time of all: one listener a business at a time, and a few in all, in turn.
RESUMING_AT_ONCE: Final = 4
REFUSES_WRITES: Final = "it refuses writes"

log = logging.getLogger(__name__)


class CrowdedError(Exception):
    """There are as many listeners as one process, one business or one user may have."""


class Fanout:
    """The reader and its listeners."""

    def __init__(self, streams: Streams) -> None:
        """Begin with `async with`."""
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
        # A listener that has read up to here or less has missed more than is gone through.
        self.too_old: Id = (0, 0)

    async def __aenter__(self) -> Self:
        """Start reading."""
        await self._tasks.__aenter__()
        self._reading = self._tasks.create_task(keep_running("the fan-out of events", self._run, self._stop, failed=self._lose))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop reading; a plain XREAD that is given up has taken nothing from anybody."""
        self.stop()
        self._reading.cancel()
        await self._tasks.__aexit__(None, None, None)

    def stop(self) -> None:
        """Let every listener end."""
        self._stop.set()
        for listener in self._all():
            listener.wake()

    @property
    def stopping(self) -> bool:
        """True when the process is about to end."""
        return self._stop.is_set()

    def watched(self, business_id: int) -> tuple[list[int], bool]:
        """The runs of a business that somebody listens to, and whether somebody listens to all of them."""
        runs = [run_id for business, run_id in self._topics if business == business_id and run_id is not None]
        return runs, (business_id, None) in self._topics

    @contextmanager
    def listen(self, business_id: int, run_id: int | None, user: str) -> Iterator[Listener]:
        """Listen to one run, or to all runs of the business when `run_id` is None; `user` has a limit of its own.

        Raises:
            CrowdedError: when there are too many.
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

    @asynccontextmanager
    async def resuming(self, business_id: int) -> AsyncIterator[None]:
        """Wait for a turn to go through what a listener of this business missed."""
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
                    log.warning("Redis is away, listeners are served from PostgreSQL: %s", error)
                    self._lose()
                await wait_for_event(self._stop, AWAY_SECONDS)

    async def _read(self) -> None:
        if not await self._streams.can_write():
            # What happens is not told any more, so silence means nothing.
            raise RedisUnavailableError(REFUSES_WRITES)
        if self._position is None:
            _, self._position = await self._streams.event_window()
            self.away = False
            # It may be another stream, which numbers anew.
            self.too_old = (0, 0)
            self._miss()
        entries = await self._streams.events_after(self._position, block_seconds=READ_SECONDS)
        for entry in entries:
            self._position = entry[0]
            self._pass_on(entry)
        if not entries:
            await self._notice_another_stream()

    async def _notice_another_stream(self) -> None:
        """A server that was emptied or replaced numbers anew, and would not tell us anything for a long time."""
        _, newest = await self._streams.event_window()
        if self._position is not None and _order(newest) < _order(self._position):
            self._position = None

    def _pass_on(self, entry: Entry) -> None:
        event = read_entry(entry)
        if event is None:
            return
        for topic in ((event.business_id, event.run_id), (event.business_id, None)):
            for listener in self._topics.get(topic, ()):
                listener.put(event)

    def _lose(self) -> None:
        """What happens from here on until the stream can be read again may be missing from it."""
        self.away = True
        self._position = None
        self._miss()

    def _miss(self) -> None:
        for listener in self._all():
            listener.miss()

    def _all(self) -> list[Listener]:
        return [listener for listeners in self._topics.values() for listener in listeners]


def _order(text: str) -> Id:
    return parse_id(text) or (0, 0)
