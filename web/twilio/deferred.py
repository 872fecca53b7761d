"""Replays the callbacks that were kept in Redis while PostgreSQL was away or a row was locked.

A callback that still cannot be applied is passed over and tried again later, with growing pauses; the others go on meanwhile. Callbacks
of several businesses are applied at once, those of one business one after the other; a business rests for a while when some of them fail.

On the road of a call: 6, later than it should be. `web/twilio/receiver.py` applies each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Final, Generic, Self, TypeAlias, TypeVar

from dialer.concurrency.loop import Loop
from dialer.model import Reference
from dialer.shares import BusyError, Use
from dialer.streams.client import NOWHERE, RedisUnavailableError
from sql.errors import DatabaseUnavailableError, RowLockedError
from sql.shares import CURRENT_USE
from web.server.tenancy import business
from web.twilio.receiver import NotAppliedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from dialer.clock import Clock
    from dialer.streams.client import Streams
    from web.twilio.receiver import CallbackReceiver

ENTRIES_PER_READ: Final = 100
BUSINESSES_AT_ONCE: Final = 8
# How long a pass waits for what is in progress of a business before it passes over the rest of it.
IN_PROGRESS_SECONDS: Final = 0.25
FAILURES_PER_CHUNK: Final = 2
PASS_SECONDS: Final = 1.0
# A callback or a business that failed rests so long, twice as long after each failure.
FIRST_REST_SECONDS: Final = 0.5
MAX_ENTRY_REST_SECONDS: Final = 30.0
MAX_BUSINESS_REST_SECONDS: Final = 8.0
# While PostgreSQL is away.
AWAY_SECONDS: Final = 1.0
MAX_REMEMBERED: Final = 10_000

# The entry of a callback in the stream, its reference, its form.
Kept: TypeAlias = "tuple[str, str, Mapping[str, str]]"

log = logging.getLogger(__name__)


class DeferredCallbacks:
    """A task that replays what is kept. Any number of processes may do so: a fact twice is one."""

    def __init__(self, ear: CallbackReceiver, streams: Streams, clock: Clock) -> None:
        """Begin with `async with`."""
        self._ear = ear
        self._streams = streams
        self._clock = clock
        self._loop = Loop("kept callbacks", self._pass, pause=lambda: self._pause_seconds)
        self._pause_seconds = PASS_SECONDS
        self._tasks = asyncio.TaskGroup()
        self._places = asyncio.Semaphore(BUSINESSES_AT_ONCE)
        self._in_progress: dict[int, asyncio.Task[None]] = {}
        self._entries = ReplayDelays[str](clock, MAX_ENTRY_REST_SECONDS)
        self._businesses = ReplayDelays[int](clock, MAX_BUSINESS_REST_SECONDS)
        self._away_until = 0.0

    async def __aenter__(self) -> Self:
        """Start replaying."""
        await self._tasks.__aenter__()
        self._tasks.create_task(self._loop.run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish what is in progress, and stop; the rest stays for the next process."""
        self._loop.close()
        await self._tasks.__aexit__(None, None, None)

    async def _pass(self) -> None:
        began = self._clock.boot()
        try:
            await self._replay_all()
        except RedisUnavailableError:
            # Nothing is lost: it is still in the stream.
            raise
        except Exception:
            log.exception("kept callbacks wait")
        finally:
            # A long stream that nothing can be applied of must not keep this process busy.
            self._pause_seconds = max(PASS_SECONDS, 2 * (self._clock.boot() - began))

    async def _replay_all(self) -> None:
        """Go through the stream once."""
        after, more = NOWHERE, True
        while more and not self._idle():
            entries = await self._streams.kept_callbacks(ENTRIES_PER_READ, after)
            more = len(entries) == ENTRIES_PER_READ
            for business_id, chunk in _by_business(entries).items():
                await self._start(business_id, chunk)
            after = entries[-1][0] if entries else after

    async def _start(self, business_id: int, chunk: list[Kept]) -> None:
        """Start to replay these callbacks of one business, or pass them over."""
        chunk = [kept for kept in chunk if not self._entries.resting(kept[0])]
        running = self._in_progress.get(business_id)
        if running is not None:
            await asyncio.wait({running}, timeout=IN_PROGRESS_SECONDS)
        if not chunk or business_id in self._in_progress or self._businesses.resting(business_id) or self._idle():
            return
        await self._places.acquire()
        self._in_progress[business_id] = self._tasks.create_task(self._replay(business_id, chunk))

    async def _replay(self, business_id: int, chunk: list[Kept]) -> None:
        CURRENT_USE.set(Use(business(business_id)))
        failures = 0
        try:
            for kept in chunk:
                if failures == FAILURES_PER_CHUNK or self._idle():
                    return
                failures += not await self._apply(kept)
        finally:
            if failures:
                self._businesses.failed(business_id)
            else:
                self._businesses.forget(business_id)
            del self._in_progress[business_id]
            self._places.release()

    async def _apply(self, kept: Kept) -> bool:
        """Apply one callback and forget it; False when it has to wait."""
        entry, reference, form = kept
        try:
            await self._ear.replay(reference, form)
        except ValueError:
            log.warning("a kept callback cannot be understood any more")
        except (NotAppliedError, BusyError, RowLockedError):
            self._entries.failed(entry)
            return False
        except DatabaseUnavailableError:
            # PostgreSQL is away, or fails on this one: it rests, so that the next pass begins with another.
            self._entries.failed(entry)
            self._away_until = self._clock.boot() + AWAY_SECONDS
            return True
        except Exception:
            log.exception("a kept callback waits")
            self._entries.failed(entry)
            return False
        self._entries.forget(entry)
        with contextlib.suppress(RedisUnavailableError):
            # What stays in the stream is applied once more, which changes nothing.
            await self._streams.forget_callback(entry)
        return True

    def _idle(self) -> bool:
        return self._loop.closed or self._clock.boot() < self._away_until


Key = TypeVar("Key")


class ReplayDelays(Generic[Key]):
    """When each of those that failed is to be tried again."""

    def __init__(self, clock: Clock, longest: float) -> None:
        """A rest is `longest` seconds at most."""
        self._clock = clock
        self._longest = longest
        # When the rest ends, and how long it is.
        self._rests: OrderedDict[Key, tuple[float, float]] = OrderedDict()

    def resting(self, key: Key) -> bool:
        """True when it is not to be tried yet."""
        return key in self._rests and self._rests[key][0] > self._clock.boot()

    def failed(self, key: Key) -> None:
        """Let it rest, twice as long as the last time."""
        _, last = self._rests.get(key, (0.0, FIRST_REST_SECONDS / 2))
        pause = min(last * 2, self._longest)
        self._rests[key] = (self._clock.boot() + pause, pause)
        if len(self._rests) > MAX_REMEMBERED:
            self._rests.popitem(last=False)

    def forget(self, key: Key) -> None:
        """It did not fail this time."""
        self._rests.pop(key, None)


def _by_business(entries: Sequence[Kept]) -> dict[int, list[Kept]]:
    found: defaultdict[int, list[Kept]] = defaultdict(list)
    for kept in entries:
        found[_business_of(kept[1])].append(kept)
    return found


def _business_of(reference: str) -> int:
    try:
        return Reference.parse(reference).business_id
    except ValueError:
        return 0
