"""One reader of dialer:events a process, and a bounded queue for each browser that listens.

A listener that is too slow, and every listener after Redis was away, has missed something: it is told so and begins anew from the whole
state. Nobody waits for anybody.

On the road of a call: after 7; what has changed comes past here on its way to the screens.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from dialer.streams import AwayError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from dialer.streams import Entry, Streams

MAX_WAITING_EVENTS: Final = 500
MAX_LISTENERS: Final = 10_000
MAX_LISTENERS_PER_BUSINESS: Final = 500
READ_SECONDS: Final = 1.0
# Going through what a listener missed takes time of all; the others wait.
RESUMING_AT_ONCE: Final = 4
AWAY_SECONDS: Final = 0.5
MAX_ID_DIGITS: Final = 20

log = logging.getLogger(__name__)

# An entry's id as two numbers, which can be compared.
Id: TypeAlias = tuple[int, int]


class CrowdedError(Exception):
    """There are as many listeners as one process, or one business, may have."""


class Listener:
    """What one browser has still to be sent, at most 500 events; `missed` when there was more, or a gap."""

    def __init__(self, business_id: int, run_id: int) -> None:
        self.topic = (business_id, run_id)
        self.missed = False
        self._waiting: deque[tuple[Id, str, bytes]] = deque()
        self._woken = asyncio.Event()

    def put(self, entry: tuple[Id, str, bytes]) -> None:
        """One more event."""
        if len(self._waiting) >= MAX_WAITING_EVENTS:
            self.miss()
        elif not self.missed:
            self._waiting.append(entry)
            self._woken.set()

    def miss(self) -> None:
        """Something was lost: nothing that waits is of use any more."""
        self._waiting.clear()
        self.missed = True
        self._woken.set()

    def wake(self) -> None:
        """Let `wait` return."""
        self._woken.set()

    def begin_anew(self) -> None:
        """From here on nothing is missing; what comes from now on waits."""
        self._waiting.clear()
        self.missed = False

    def take(self) -> list[tuple[Id, str, bytes]]:
        """What waits: id, type and frame of each event."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    async def wait(self, seconds: float) -> bool:
        """Wait for something to happen; False when nothing did for `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class Fanout:
    """The reader and its listeners."""

    def __init__(self, streams: Streams) -> None:
        """Begin with `async with`."""
        self._streams = streams
        self._topics: dict[tuple[int, int], set[Listener]] = defaultdict(set)
        self._per_business: dict[int, int] = defaultdict(int)
        self._position: str | None = None
        self._tasks = asyncio.TaskGroup()
        self._stop = asyncio.Event()
        self.away = False
        self.resuming = asyncio.Semaphore(RESUMING_AT_ONCE)

    async def __aenter__(self) -> Self:
        """Start reading."""
        await self._tasks.__aenter__()
        self._reading = self._tasks.create_task(self._run())
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

    @contextmanager
    def listen(self, business_id: int, run_id: int) -> Iterator[Listener]:
        """Listen to one run.

        Raises:
            CrowdedError: when there are too many.
        """
        if sum(self._per_business.values()) >= MAX_LISTENERS or self._per_business[business_id] >= MAX_LISTENERS_PER_BUSINESS:
            raise CrowdedError
        listener = Listener(business_id, run_id)
        self._topics[listener.topic].add(listener)
        self._per_business[business_id] += 1
        try:
            yield listener
        finally:
            self._leave(listener)

    def _leave(self, listener: Listener) -> None:
        business_id, _ = listener.topic
        self._topics[listener.topic].discard(listener)
        if not self._topics[listener.topic]:
            del self._topics[listener.topic]
        self._per_business[business_id] -= 1
        if not self._per_business[business_id]:
            del self._per_business[business_id]

    async def _run(self) -> None:
        while not self.stopping:
            try:
                await self._read()
            except AwayError as error:
                self._lost(error)
                await self._rest()

    async def _read(self) -> None:
        if self._position is None:
            _, self._position = await self._streams.event_window()
            self.away = False
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
        if self._position is not None and parse_id(newest) < parse_id(self._position):
            self._position = None

    def _pass_on(self, entry: Entry) -> None:
        topic = topic_of(entry[1])
        if topic is None or topic not in self._topics:
            return
        passed = (parse_id(entry[0]), entry[1]["type"], frame(entry))
        for listener in self._topics[topic]:
            listener.put(passed)

    def _lost(self, error: AwayError) -> None:
        if not self.away:
            log.warning("Redis is away, listeners are served from PostgreSQL: %s", error)
        self.away = True
        # What happens until it is back may be gone with it.
        self._position = None
        self._miss()

    def _miss(self) -> None:
        for listener in self._all():
            listener.miss()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(AWAY_SECONDS):
                await self._stop.wait()
        except TimeoutError:
            pass

    def _all(self) -> list[Listener]:
        return [listener for listeners in self._topics.values() for listener in listeners]


def parse_id(text: str) -> Id:
    """An entry's id as two numbers.

    Raises:
        ValueError: when it is not one.
    """
    milliseconds, _, sequence = text.partition("-")
    if not (milliseconds.isascii() and milliseconds.isdigit() and sequence.isascii() and sequence.isdigit()):
        raise ValueError(text[:40])
    if len(milliseconds) > MAX_ID_DIGITS or len(sequence) > MAX_ID_DIGITS:
        raise ValueError(text[:40])
    return int(milliseconds), int(sequence)


def topic_of(fields: dict[str, str]) -> tuple[int, int] | None:
    """Whose event this is, and of which run; None for one that is of no run, or not ours."""
    business_id, run_id = fields.get("business_id", ""), fields.get("run_id", "")
    if not business_id.isdigit() or not run_id.isdigit() or "type" not in fields:
        return None
    return int(business_id), int(run_id)


def frame(entry: Entry) -> bytes:
    """The event as a browser reads it."""
    identity, fields = entry
    body = {
        "type": fields["type"],
        "run_id": int(fields["run_id"]),
        "job_id": int(fields["job_id"]) if fields.get("job_id", "").isdigit() else None,
        "command_id": fields.get("command_id"),
        "at": fields.get("at"),
        "data": _json(fields.get("data", "{}")),
    }
    return encode(fields["type"], body, identity)


def encode(name: str, body: object, identity: str | None = None) -> bytes:
    """One event of a stream, as HTML's standard writes it (server-sent events)."""
    lines = [f"id: {identity}"] if identity is not None else []
    # A name is one line, whoever wrote it.
    lines += [f"event: {''.join(name.split())}", f"data: {json.dumps(body)}", "", ""]
    return "\n".join(lines).encode()


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
