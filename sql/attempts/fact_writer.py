"""Brings facts to the log: those that arrive together go in one statement, each business in its turn.

A fact whose rows somebody else holds comes again, and its business waits aside for that, in a timer of its own: nobody else notices. A
fact is given up only for an error of its own.

On the road of a call: 7. The call's coroutine and the callback's handler both wait here until what they recorded is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Self

import asyncpg

from sql.attempts.verdicts import RecordVerdict
from sql.errors import DatabaseUnavailableError, RowLockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sql.attempts.attempts import Attempts, Fact, RecordResult

# A statement holds the rows of its businesses while it runs: short ones keep a cancel's wait short.
MAX_FACTS_AT_ONCE = 32
# More facts than this of one business are refused: who brings them is asked to come again, and the memory is everybody's.
MAX_WAITING_FACTS = 2_000
# Whoever holds a row of ours holds it for milliseconds; a stranger may hold it for hours.
FIRST_BUSY_SECONDS = 0.005
LONGEST_BUSY_SECONDS = 0.5
AWAY_SECONDS = 0.25
LAST_CHANCE_SECONDS = 5.0
# Classes 22 and 23 of SQLSTATE: PostgreSQL will never take this fact.
UNWRITABLE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

log = logging.getLogger(__name__)


class NotRecordedError(Exception):
    """The fact could not be written within the patience of this ledger; bring it again."""


@dataclass(slots=True)
class _Pending:
    fact: Fact
    until: float
    recorded: asyncio.Future[RecordResult] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FactWriter:
    """A task that writes facts, at most one statement at a time."""

    def __init__(self, attempts: Attempts, *, patience_seconds: float, wrote: Callable[[], None] = lambda: None) -> None:
        """A fact is tried for `patience_seconds`; `wrote` is called after each statement that went through. Begin with `async with`."""
        self._attempts = attempts
        self._patience = patience_seconds
        self._wrote = wrote
        # By business, in the order they came.
        self._waiting: dict[int, deque[_Pending]] = {}
        # The businesses whose turn it is, in order; one that waits aside is not among them.
        self._ready: deque[int] = deque()
        # How long a business whose rows are held waited aside the last time, in seconds.
        self._pauses: dict[int, float] = {}
        self._kicked = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._stopping = False
        self._last_chance = inf
        self._most = MAX_FACTS_AT_ONCE

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

    async def record(self, fact: Fact) -> RecordResult:
        """Write a fact; return what it did.

        Raises:
            NotRecordedError: when PostgreSQL is unavailable, or a row locked, for longer than our patience, or when too many facts of the
                business wait already.
            asyncpg.PostgresError: when PostgreSQL will never take this fact.
        """
        waiting = self._waiting_of(fact.business_id)
        if len(waiting) >= MAX_WAITING_FACTS:
            raise NotRecordedError(fact.attempt_id)
        pending = _Pending(fact, asyncio.get_running_loop().time() + self._patience)
        waiting.append(pending)
        self._kicked.set()
        return await pending.recorded

    def _waiting_of(self, business_id: int) -> deque[_Pending]:
        if business_id not in self._waiting:
            self._waiting[business_id] = deque()
            self._ready.append(business_id)
        return self._waiting[business_id]

    async def _run(self) -> None:
        while self._waiting or not self._stopping:
            await self._kicked.wait()
            self._kicked.clear()
            while batch := self._take():
                try:
                    await self._write(batch)
                except Exception:
                    # Whatever it is: the facts that have no answer yet come again, and those behind them are written.
                    log.exception("%d facts wait to be written", len(batch))
                    self._again(batch)
                    await asyncio.sleep(AWAY_SECONDS)

    def _take(self) -> list[_Pending]:
        """One fact of each business in turn, and again from the first; a second one about the same attempt waits for the next statement."""
        batch: dict[int, _Pending] = {}
        later: list[int] = []
        while self._ready and len(batch) < self._most:
            business_id = self._ready.popleft()
            waiting = self._waiting[business_id]
            while waiting and waiting[0].recorded.done():
                waiting.popleft()
            if not waiting:
                del self._waiting[business_id]
            elif waiting[0].fact.attempt_id in batch:
                later.append(business_id)
            else:
                pending = waiting.popleft()
                batch[pending.fact.attempt_id] = pending
                self._ready.append(business_id)
        self._ready.extend(later)
        return list(batch.values())

    async def _write(self, batch: Sequence[_Pending]) -> None:
        try:
            recorded = await self._attempts.record([pending.fact for pending in batch])
        except RowLockedError as error:
            # First: what a lock raises is also of a kind that PostgreSQL raises when it is away.
            await self._write_apart(batch, error)
        except DatabaseUnavailableError as error:
            log.warning("%d facts wait to be written: %s", len(batch), type(error).__name__)
            await self._wait_for_postgresql(batch)
        except Exception as error:  # noqa: BLE001 - the callers must hear of it, whatever it is, or they wait for ever
            await self._write_apart(batch, error)
        else:
            self._wrote()
            self._most = MAX_FACTS_AT_ONCE if len(batch) > 1 else min(self._most * 2, MAX_FACTS_AT_ONCE)
            self._answer(batch, recorded)

    async def _wait_for_postgresql(self, batch: Sequence[_Pending]) -> None:
        """Bring them again, fewer at a time: it may be one of them that PostgreSQL fails on, and the others must not wait for it."""
        self._most = max(self._most // 2, 1)
        self._again(batch)
        if len(batch) == 1:
            self._set_aside(batch[0].fact.business_id)
        await asyncio.sleep(AWAY_SECONDS)

    async def _write_apart(self, batch: Sequence[_Pending], error: Exception) -> None:
        """One fact that cannot be written must not take the others with it: halve the batch until it stands alone."""
        if len(batch) > 1:
            half = len(batch) // 2
            await self._write(batch[:half])
            await self._write(batch[half:])
        elif isinstance(error, UNWRITABLE):
            if not batch[0].recorded.done():
                batch[0].recorded.set_exception(error)
        else:
            if not isinstance(error, RowLockedError):
                log.error("a fact of business %d waits to be written", batch[0].fact.business_id, exc_info=error)
            self._again(batch)
            self._set_aside(batch[0].fact.business_id)

    def _answer(self, batch: Sequence[_Pending], recorded: Sequence[RecordResult]) -> None:
        answers = {answer.attempt_id: answer for answer in recorded}
        busy = [pending for pending in batch if answers[pending.fact.attempt_id].verdict == RecordVerdict.BUSY]
        held = {pending.fact.business_id for pending in busy}
        for pending in batch:
            answer = answers[pending.fact.attempt_id]
            if answer.verdict != RecordVerdict.BUSY and not pending.recorded.done():
                pending.recorded.set_result(answer)
            if pending.fact.business_id not in held:
                self._pauses.pop(pending.fact.business_id, None)
        self._again(busy)
        for business_id in held:
            self._set_aside(business_id)

    def _again(self, batch: Sequence[_Pending]) -> None:
        """Put facts back where they came from, but for those whose time is over."""
        now = asyncio.get_running_loop().time()
        for pending in reversed(batch):
            if min(pending.until, self._last_chance) < now and not pending.recorded.done():
                pending.recorded.set_exception(NotRecordedError(pending.fact.attempt_id))
            if not pending.recorded.done():
                self._waiting_of(pending.fact.business_id).appendleft(pending)

    def _set_aside(self, business_id: int) -> None:
        """Let a business wait for a row that somebody holds, longer each time."""
        if business_id in self._ready:
            pause = min(max(self._pauses.get(business_id, 0.0) * 2, FIRST_BUSY_SECONDS), LONGEST_BUSY_SECONDS)
            self._pauses[business_id] = pause
            self._ready.remove(business_id)
            asyncio.get_running_loop().call_later(pause, self._come_back, business_id)

    def _come_back(self, business_id: int) -> None:
        self._ready.append(business_id)
        self._kicked.set()
