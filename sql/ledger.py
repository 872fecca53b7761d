"""Brings facts to the log: those that arrive together go in one statement, and one that finds its row locked comes again.

On the road of a call: 7. The call's coroutine and the callback's handler both wait here until what they learned is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Self

from sql.pool import AWAY, LOCKED

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sql.attempts import Attempts, Fact, Learned

# A statement holds the rows of its businesses while it runs: short ones keep a cancel's wait short.
MAX_FACTS_AT_ONCE = 32
BUSY_SECONDS = 0.005
AWAY_SECONDS = 0.25
LAST_CHANCE_SECONDS = 5.0

log = logging.getLogger(__name__)


class NotLearnedError(Exception):
    """The fact could not be written within the patience of this ledger; bring it again."""


@dataclass(slots=True)
class _Brought:
    fact: Fact
    until: float
    learned: asyncio.Future[Learned] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Ledger:
    """A task that writes facts, at most one statement at a time."""

    def __init__(self, attempts: Attempts, *, patience_seconds: float, wrote: Callable[[], None] = lambda: None) -> None:
        """A fact is tried for `patience_seconds`; `wrote` is called after each statement that went through. Begin with `async with`."""
        self._attempts = attempts
        self._patience = patience_seconds
        self._wrote = wrote
        self._waiting: deque[_Brought] = deque()
        self._kicked = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._stopping = False
        self._last_chance = inf

    async def __aenter__(self) -> Self:
        """Start writing."""
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write what is left, and stop; what PostgreSQL does not take within some seconds is found again by asking the provider."""
        self._stopping = True
        self._last_chance = asyncio.get_running_loop().time() + LAST_CHANCE_SECONDS
        self._kicked.set()
        await self._tasks.__aexit__(None, None, None)

    async def learn(self, fact: Fact) -> Learned:
        """Write a fact; return what it did.

        Raises:
            NotLearnedError: when PostgreSQL is away, or a row stays locked, longer than the patience of this ledger.
        """
        brought = _Brought(fact, asyncio.get_running_loop().time() + self._patience)
        self._waiting.append(brought)
        self._kicked.set()
        return await brought.learned

    async def _run(self) -> None:
        while self._waiting or not self._stopping:
            await self._kicked.wait()
            self._kicked.clear()
            while batch := self._take():
                pause = await self._write(batch)
                if pause:
                    await _rest(pause)

    def _take(self) -> list[_Brought]:
        """The oldest facts, one an attempt: a second one about the same attempt waits for the next statement."""
        batch: dict[int, _Brought] = {}
        later: list[_Brought] = []
        while self._waiting and len(batch) < MAX_FACTS_AT_ONCE:
            brought = self._waiting.popleft()
            if brought.learned.done():
                continue
            if brought.fact.attempt_id in batch:
                later.append(brought)
            else:
                batch[brought.fact.attempt_id] = brought
        self._waiting.extendleft(reversed(later))
        return list(batch.values())

    async def _write(self, batch: list[_Brought]) -> float:
        """Write a batch; return how long to rest before those that have to come again."""
        try:
            learned = await self._attempts.learn([brought.fact for brought in batch])
        except (*AWAY, *LOCKED) as error:
            log.warning("%d facts wait to be written: %s", len(batch), type(error).__name__)
            self._again(batch)
            return AWAY_SECONDS
        except Exception as error:  # noqa: BLE001 - the callers must hear of it, whatever it is, or they wait for ever
            self._fail_alone(batch, error)
            return 0
        self._wrote()
        answers = {answer.attempt_id: answer for answer in learned}
        busy = [brought for brought in batch if answers[brought.fact.attempt_id].verdict == "busy"]
        for brought in batch:
            answer = answers[brought.fact.attempt_id]
            if answer.verdict != "busy" and not brought.learned.done():
                brought.learned.set_result(answer)
        self._again(busy)
        return BUSY_SECONDS if busy and len(busy) == len(batch) else 0

    def _again(self, batch: list[_Brought]) -> None:
        now = asyncio.get_running_loop().time()
        for brought in batch:
            if min(brought.until, self._last_chance) < now and not brought.learned.done():
                brought.learned.set_exception(NotLearnedError(brought.fact.attempt_id))
        self._waiting.extendleft(brought for brought in reversed(batch) if not brought.learned.done())

    def _fail_alone(self, batch: list[_Brought], error: Exception) -> None:
        """One fact that cannot be written must not take the others with it: halve the batch until it stands alone."""
        if len(batch) == 1:
            if not batch[0].learned.done():
                batch[0].learned.set_exception(error)
            return
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            self._tasks.create_task(self._write(part))


async def _rest(seconds: float) -> None:
    await asyncio.sleep(seconds)
