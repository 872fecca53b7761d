"""Replays the callbacks that were kept in Redis while PostgreSQL was unavailable or a row was locked.

A callback that still cannot be recorded is skipped and retried later, with growing pauses, and does not delay the others. Callbacks of
several businesses are replayed concurrently, those of one business one after the other; a business with failures is paused for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Generic, Self, TypeAlias, TypeVar

from dialer.concurrency.loop import Loop
from dialer.log import about
from dialer.model import Reference
from dialer.shares import BusyError, Use
from dialer.streams.client import NOWHERE, RedisUnavailableError
from sql.attempts.fact_spans import recorded
from sql.attempts.fact_writer import NotRecordedError
from sql.errors import DatabaseUnavailableError, RowLockedError
from sql.shares import CURRENT_USE
from web.server.tenancy import business

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from dialer.clock import Clock
    from dialer.streams.client import Streams
    from dialer.tracing.spans import Spans
    from web.twilio.receiver import CallbackReceiver

ENTRIES_PER_READ: Final = 100
BUSINESSES_AT_ONCE: Final = 8
# How long a pass waits for a business's replay in flight before it skips the rest of that business.
IN_PROGRESS_SECONDS: Final = 0.25
FAILURES_PER_CHUNK: Final = 2
PASS_SECONDS: Final = 1.0
# After a failure a callback or a business is delayed by this, and by twice as much after each further one.
FIRST_DELAY_SECONDS: Final = 0.5
MAX_ENTRY_DELAY_SECONDS: Final = 30.0
MAX_BUSINESS_DELAY_SECONDS: Final = 8.0
# The pause while PostgreSQL is unavailable.
AWAY_SECONDS: Final = 1.0
MAX_REMEMBERED: Final = 10_000

# The id of a callback's entry in the stream, its reference, its form.
DeferredCallback: TypeAlias = "tuple[str, str, Mapping[str, str]]"

log = logging.getLogger(__name__)


class DeferredCallbacks:
    """A task that replays deferred callbacks. Several processes may do so at once: recording a fact twice changes nothing."""

    def __init__(self, receiver: CallbackReceiver, streams: Streams, clock: Clock, spans: Spans) -> None:
        """Use with `async with`."""
        self._spans = spans
        self._receiver = receiver
        self._streams = streams
        self._clock = clock
        self._loop = Loop("deferred callbacks", self._pass, pause=lambda: self._pause_seconds)
        self._pause_seconds = PASS_SECONDS
        self._tasks = asyncio.TaskGroup()
        self._slots = asyncio.Semaphore(BUSINESSES_AT_ONCE)
        self._in_progress: dict[int, asyncio.Task[None]] = {}
        self._entries = ReplayDelays[str](clock, MAX_ENTRY_DELAY_SECONDS)
        self._businesses = ReplayDelays[int](clock, MAX_BUSINESS_DELAY_SECONDS)
        self._away_until = 0.0

    async def __aenter__(self) -> Self:
        """Start replaying."""
        await self._tasks.__aenter__()
        self._tasks.create_task(self._loop.run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish the replays in flight, and stop; the rest stays in the stream for the next process."""
        self._loop.close()
        await self._tasks.__aexit__(None, None, None)

    async def _pass(self) -> None:
        began = self._clock.boot()
        try:
            await self._read_stream()
        except RedisUnavailableError:
            # Nothing is lost: the callbacks are still in the stream.
            raise
        except Exception:
            log.exception("could not replay deferred callbacks")
        finally:
            # A long stream of which nothing can be recorded must not keep this process busy.
            self._pause_seconds = max(PASS_SECONDS, 2 * (self._clock.boot() - began))

    async def _read_stream(self) -> None:
        """Go through the stream once."""
        after, more = NOWHERE, True
        while more and not self._paused():
            entries = await self._streams.kept_callbacks(ENTRIES_PER_READ, after)
            more = len(entries) == ENTRIES_PER_READ
            for business_id, chunk in _by_business(entries).items():
                await self._start(business_id, chunk)
            after = entries[-1][0] if entries else after

    async def _start(self, business_id: int, chunk: list[DeferredCallback]) -> None:
        """Start replaying these callbacks of one business, or skip them for this pass."""
        chunk = [callback for callback in chunk if not self._entries.delayed(callback[0])]
        running = self._in_progress.get(business_id)
        if running is not None:
            await asyncio.wait({running}, timeout=IN_PROGRESS_SECONDS)
        if not chunk or business_id in self._in_progress or self._businesses.delayed(business_id) or self._paused():
            return
        await self._slots.acquire()
        self._in_progress[business_id] = self._tasks.create_task(self._replay_all(business_id, chunk))

    async def _replay_all(self, business_id: int, chunk: list[DeferredCallback]) -> None:
        CURRENT_USE.set(Use(business(business_id)))
        failures = 0
        try:
            for callback in chunk:
                if failures == FAILURES_PER_CHUNK or self._paused():
                    return
                failures += not await self._replay(callback)
        finally:
            if failures:
                self._businesses.failed(business_id)
            else:
                self._businesses.forget(business_id)
            del self._in_progress[business_id]
            self._slots.release()

    async def _replay(self, callback: DeferredCallback) -> bool:
        """Replay one callback and drop it; False when it must be retried."""
        entry, reference, form = callback
        try:
            began = self._clock.now()
            with about(sid=form.get("CallSid")):
                result = await self._receiver.replay(reference, form)
            if self._spans.enabled and result and (span := recorded(result, began, self._clock.now())):
                self._spans.add(replace(span, name="replay callback"))
        except ValueError:
            log.warning("dropped a deferred callback with a malformed field")
        except (NotRecordedError, BusyError, RowLockedError):
            self._entries.failed(entry)
            return False
        except DatabaseUnavailableError:
            # PostgreSQL is unavailable, or fails on this callback: delay it, so that the next pass starts with another.
            self._entries.failed(entry)
            self._away_until = self._clock.boot() + AWAY_SECONDS
            return True
        except Exception:
            log.exception("could not replay a deferred callback")
            self._entries.failed(entry)
            return False
        self._entries.forget(entry)
        with contextlib.suppress(RedisUnavailableError):
            # An entry left in the stream is replayed again, which changes nothing.
            await self._streams.forget_callback(entry)
        return True

    def _paused(self) -> bool:
        return self._loop.closed or self._clock.boot() < self._away_until


Key = TypeVar("Key")


class ReplayDelays(Generic[Key]):
    """The delays before failed callbacks or businesses are tried again."""

    def __init__(self, clock: Clock, longest: float) -> None:
        """No delay is longer than `longest` seconds."""
        self._clock = clock
        self._longest = longest
        # When each delay ends, and its length.
        self._delays: OrderedDict[Key, tuple[float, float]] = OrderedDict()

    def delayed(self, key: Key) -> bool:
        """True when it must not be tried yet."""
        return key in self._delays and self._delays[key][0] > self._clock.boot()

    def failed(self, key: Key) -> None:
        """Delay it, twice as long as the last time."""
        _, last = self._delays.get(key, (0.0, FIRST_DELAY_SECONDS / 2))
        delay = min(last * 2, self._longest)
        self._delays[key] = (self._clock.boot() + delay, delay)
        if len(self._delays) > MAX_REMEMBERED:
            self._delays.popitem(last=False)

    def forget(self, key: Key) -> None:
        """Reset its delay after a success."""
        self._delays.pop(key, None)


def _by_business(entries: Sequence[DeferredCallback]) -> dict[int, list[DeferredCallback]]:
    chunks: defaultdict[int, list[DeferredCallback]] = defaultdict(list)
    for callback in entries:
        chunks[_business_of(callback[1])].append(callback)
    return chunks


def _business_of(reference: str) -> int:
    try:
        return Reference.parse(reference).business_id
    except ValueError:
        return 0
