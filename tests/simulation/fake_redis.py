"""Redis in memory: streams with ids of their own clock, scripts, FLUSHALL; and the client each process has of it."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Any

from actors.dispatch.circuit_breaker import RESET, TRIP
from actors.dispatch.rate_limiter import GIVE_BACK, TAKE
from dialer.streams.client import LOOK_BACK_SECONDS, NOWHERE, RedisUnavailableError
from dialer.streams.relay_script import KEEP_RELAYED_SECONDS, MAX_READING_AGE_SECONDS, RelayResult
from tests.simulation.permits import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dialer.clock import Clock
    from dialer.messages import Event, Hint
    from tests.simulation.loop import VirtualLoop
    from tests.simulation.randomness import SeededRandom

START_MILLISECONDS = 1_893_456_000_000
QUICK_SECONDS = 0.002
GIVE_UP_SECONDS = 1.0
Id = tuple[int, int]


class Stream:
    """Entries with growing ids."""

    def __init__(self) -> None:
        self.entries: list[tuple[Id, Any]] = []
        self.last: Id = (0, 0)

    def add(self, milliseconds: int, content: Any) -> Id:  # noqa: ANN401 a hint or the fields of a command
        """Add an entry at this time; return its id."""
        at = (milliseconds, 0) if milliseconds > self.last[0] else (self.last[0], self.last[1] + 1)
        self.last = at
        self.entries.append((at, content))
        return at

    def after(self, position: Id) -> list[tuple[Id, Any]]:
        """What came later than `position`."""
        if not self.entries or self.entries[-1][0] <= position:
            return []
        return [entry for entry in self.entries if entry[0] > position]


class FakeRedis:
    """One Redis; `published` is every durable event that was ever in the stream, for the judge."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.is_away = False
        self.inboxes: dict[int, Stream] = {}
        self.commands = Stream()
        self.relayed: dict[int, float] = {}
        self.accounts: dict[str, Account] = {}
        self.published: list[tuple[int, int | None]] = []
        self.rejected: list[int] = []
        self._bells: list[asyncio.Future[None]] = []

    @property
    def milliseconds(self) -> int:
        """Its clock."""
        return START_MILLISECONDS + int(self.loop.now * 1000)

    def flush(self) -> None:
        """FLUSHALL."""
        self.inboxes.clear()
        self.commands = Stream()
        self.relayed.clear()
        self.accounts.clear()

    def ring(self) -> None:
        """Wake the readers that wait for entries."""
        bells, self._bells = self._bells, []
        for bell in bells:
            if not bell.done():
                bell.set_result(None)

    def bell(self) -> asyncio.Future[None]:
        """Rung when something is added."""
        bell: asyncio.Future[None] = self.loop.create_future()
        self._bells.append(bell)
        return bell

    def inbox(self, partition: int) -> Stream:
        """The hints to the owner of a partition."""
        return self.inboxes.setdefault(partition, Stream())

    def relay(self, events: Sequence[Event], read_at: float) -> tuple[int, ...] | None:
        """Add events, each number once as long as it is remembered; None when they were read too long ago."""
        if self.loop.now - read_at > MAX_READING_AGE_SECONDS:
            return None
        for event in events:
            serial = event.serial or 0
            if self.relayed.get(serial, -1.0) < self.loop.now:
                self.published.append((serial, event.run_id))
                self.relayed[serial] = inf
        return tuple(event.serial or 0 for event in events)

    def confirm(self, serials: Sequence[int]) -> None:
        """From now on these are remembered only as long as a relay may hold them."""
        for serial in serials:
            if serial in self.relayed:
                self.relayed[serial] = self.loop.now + KEEP_RELAYED_SECONDS

    def script(self, script: str, key: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401 what the script returns
        """The scripts of actors/dispatch/rate_limiter.py and circuit_breaker.py."""
        account = self.accounts.setdefault(key, Account())
        if script == TAKE:
            return account.take(self.loop.now, arguments)
        if script == GIVE_BACK:
            account.give_back(float(arguments[0]), int(arguments[1]))
        elif script == TRIP:
            account.open_until = max(account.open_until, self.loop.now + float(arguments[0]))
        elif script == RESET:
            account.open_until = 0.0
        else:
            raise NotImplementedError(script)
        return 1


class FakeStreams:
    """`dialer.streams.client.Streams` of one process."""

    def __init__(self, server: FakeRedis, chance: SeededRandom, clock: Clock) -> None:
        self.server = server
        self.chance = chance
        self.clock = clock
        self.lost = 0.0
        self.repeats = 0.0

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.lost = self.repeats = 0.0

    async def send_hint(self, partition: int, hint: Hint) -> bool:
        def add() -> None:
            for _ in range(2 if self.chance.hits(self.repeats) else 1):
                self.server.inbox(partition).add(self.server.milliseconds, hint)
            self.server.ring()

        return await self._try(add)

    async def start_of_hints(self) -> str:
        try:
            milliseconds: int = await self._do(lambda: self.server.milliseconds)
        except RedisUnavailableError:
            milliseconds = int((self.clock.now().timestamp() - LOOK_BACK_SECONDS) * 1000)
        return f"{milliseconds}-0"

    async def hints_after(self, positions: Mapping[int, str], *, block_seconds: float) -> list[tuple[int, str, Hint | None]]:
        after = {partition: _parse(position) for partition, position in positions.items()}

        def read() -> list[tuple[int, str, Hint | None]]:
            found = [
                (p, entry) for p, position in after.items() if p in self.server.inboxes for entry in self.server.inboxes[p].after(position)
            ]
            return [(p, f"{at[0]}-{at[1]}", hint) for p, (at, hint) in found]

        found: list[tuple[int, str, Hint | None]] = await self._read(read, block_seconds)
        return found

    async def commands_after(self, entry: str, *, block_seconds: float) -> list[tuple[str, dict[str, str]]]:
        position = _parse(entry)

        def read() -> list[tuple[str, dict[str, str]]]:
            return [(f"{at[0]}-{at[1]}", fields) for at, fields in self.server.commands.after(position)]

        found: list[tuple[str, dict[str, str]]] = await self._read(read, block_seconds)
        return found

    async def newest_command(self) -> str:
        def newest() -> str:
            last = self.server.commands.last
            return f"{last[0]}-{last[1]}" if self.server.commands.last != (0, 0) else NOWHERE

        return str(await self._do(newest))

    async def forget_commands(self, before: str) -> None:
        def trim() -> None:
            stream = self.server.commands
            stream.entries = [entry for entry in stream.entries if entry[0] >= _parse(before)]

        await self._do(trim)

    async def publish(self, events: Sequence[Event]) -> bool:  # noqa: ARG002 - best effort: they are not counted
        return await self._try(lambda: None)

    async def time(self) -> float:
        return float(await self._do(lambda: self.server.loop.now))

    async def relay(self, events: Sequence[Event], read_at: float) -> RelayResult:
        result = await self._do(lambda: self.server.relay(events, read_at))
        if result is None:
            raise RedisUnavailableError
        return RelayResult(result, {})

    async def confirm(self, serials: Sequence[int]) -> None:
        await self._do(lambda: self.server.confirm(serials))

    async def trim_events(self) -> None:
        """Nothing is old enough in a schedule."""

    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:  # noqa: ANN401
        return await self._do(lambda: self.server.script(script, keys[0], arguments))

    async def _try(self, change: Callable[[], None]) -> bool:
        try:
            await self._do(change)
        except RedisUnavailableError:
            return False
        return True

    async def _do(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401
        loop = self.server.loop
        answered = loop.create_future()
        lost = self.chance.hits(self.lost)
        arrives = not lost or self.chance.hits(0.5)
        seconds = GIVE_UP_SECONDS if lost or self.server.is_away else self.chance.random() * QUICK_SECONDS

        def serve() -> None:
            result = work() if arrives and not self.server.is_away else None
            if answered.done():
                return
            if lost or self.server.is_away:
                answered.set_exception(RedisUnavailableError)
            else:
                answered.set_result(result)

        loop.call_later(seconds, serve, context=loop.outside)
        return await answered

    async def _read(self, read: Callable[[], list[Any]], block_seconds: float) -> list[Any]:
        if self.server.is_away or self.chance.hits(self.lost):
            await self._do(_nothing)
            raise RedisUnavailableError
        found = read()
        if not found:
            bell = self.server.bell()
            await asyncio.wait([bell], timeout=block_seconds)
            if self.server.is_away:
                raise RedisUnavailableError
            found = read()
        else:
            await self._do(_nothing)
        return found


def _nothing() -> None:
    return


def _parse(position: str) -> Id:
    milliseconds, number = position.split("-")
    return int(milliseconds), int(number)
