"""Writes facts about attempts: facts that arrive together go in one statement, one per business in turn.

A fact is answered once it is flushed; the next statement begins when the one before is committed, while that is being flushed.

A fact whose rows are locked is retried, and meanwhile its business is set aside with a timer of its own, so that no other business waits. A
fact is dropped only for an error that it causes itself.
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

# A statement locks the rows of its businesses while it runs; a cancel has to wait for those rows, so statements are kept short.
MAX_FACTS_AT_ONCE = 64
# A statement that runs, and the one before it that is being flushed; each holds a connection.
MAX_WRITES_AT_ONCE = 2
# Beyond this many waiting facts of one business, further ones are rejected and have to be retried: all businesses share the memory.
MAX_WAITING_FACTS = 2_000
# Our own sessions lock a row for milliseconds; another program may lock it for hours.
FIRST_BUSY_SECONDS = 0.005
LONGEST_BUSY_SECONDS = 0.5
AWAY_SECONDS = 0.25
LAST_CHANCE_SECONDS = 5.0
# SQLSTATE classes 22 and 23: PostgreSQL will never accept this fact.
UNWRITABLE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

log = logging.getLogger(__name__)


class NotRecordedError(Exception):
    """The fact could not be written in time; record it again."""


@dataclass(slots=True)
class _Pending:
    fact: Fact
    until: float
    recorded: asyncio.Future[RecordResult] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FactWriter:
    """A task that writes facts, one statement after the other."""

    def __init__(
        self,
        attempts: Attempts,
        *,
        patience_seconds: float,
        wrote: Callable[[], None] = lambda: None,
        count: Callable[[Fact, RecordResult], None] = lambda _, __: None,
    ) -> None:
        """Retry a fact for `patience_seconds`; call `wrote` after each statement that succeeded, `count` with each fact that has a result.

        Use with `async with`.
        """
        self._attempts = attempts
        self._patience = patience_seconds
        self._wrote = wrote
        self._count = count
        # The facts to be written, by business, in order of arrival.
        self._waiting: dict[int, deque[_Pending]] = {}
        # The businesses with facts to be written, in the order of their turns, without those set aside.
        self._ready: deque[int] = deque()
        # How many seconds each business was last set aside for.
        self._pauses: dict[int, float] = {}
        self._kicked = asyncio.Event()
        self._writes = asyncio.Semaphore(MAX_WRITES_AT_ONCE)
        self._in_progress = 0
        self._tasks = asyncio.TaskGroup()
        self._stopping = False
        self._last_chance = inf
        self._batch_size = MAX_FACTS_AT_ONCE

    async def __aenter__(self) -> Self:
        """Start writing."""
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Flush, and stop. Facts that PostgreSQL does not accept within 5 s are recovered later by checks with the provider."""
        self._stopping = True
        self._last_chance = asyncio.get_running_loop().time() + LAST_CHANCE_SECONDS
        self._kicked.set()
        await self._tasks.__aexit__(None, None, None)

    async def record(self, fact: Fact) -> RecordResult:
        """Write a fact; return the result.

        Raises:
            NotRecordedError: when PostgreSQL is unavailable or a row is locked for longer than `patience_seconds`, or when too many facts
                of the business are waiting already.
            asyncpg.PostgresError: when PostgreSQL will never accept this fact.
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
        while self._waiting or self._in_progress or not self._stopping:
            await self._kicked.wait()
            self._kicked.clear()
            while self._ready:
                await self._writes.acquire()
                committed = asyncio.Event()
                self._in_progress += 1
                self._tasks.create_task(self._write_next(committed))
                await committed.wait()

    async def _write_next(self, committed: asyncio.Event) -> None:
        """Write a batch; `committed` is set when the next one may begin."""
        batch = self._next_batch()
        try:
            if batch:
                await self._write(batch, committed.set)
        except Exception:
            # Whatever the error is, retry the facts that have no result yet, and go on with those queued behind them.
            log.exception("could not write %d facts, retrying", len(batch))
            self._requeue(batch)
            await asyncio.sleep(AWAY_SECONDS)
        finally:
            committed.set()
            self._in_progress -= 1
            self._writes.release()
            self._kicked.set()

    def _next_batch(self) -> list[_Pending]:
        """The next batch: one fact per business in turn, until it is full; a second fact of an attempt waits for the batch after it."""
        batch: dict[int, _Pending] = {}
        later: list[int] = []
        while self._ready and len(batch) < self._batch_size:
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

    async def _write(self, batch: Sequence[_Pending], committed: Callable[[], None]) -> None:
        try:
            recorded = await self._attempts.record([pending.fact for pending in batch], committed)
        except RowLockedError as error:
            # Caught first, because it is a subclass of DatabaseUnavailableError.
            await self._write_apart(batch, error)
        except DatabaseUnavailableError as error:
            log.warning("could not write %d facts, retrying: %s", len(batch), type(error).__name__)
            await self._wait_for_postgresql(batch)
        except Exception as error:  # noqa: BLE001 - any error has to be handled here, or the callers wait for ever
            await self._write_apart(batch, error)
        else:
            self._wrote()
            self._batch_size = MAX_FACTS_AT_ONCE if len(batch) > 1 else min(self._batch_size * 2, MAX_FACTS_AT_ONCE)
            self._answer(batch, recorded)

    async def _wait_for_postgresql(self, batch: Sequence[_Pending]) -> None:
        """Retry in smaller batches: one of the facts may be the cause of the failure, and must not delay the others."""
        self._batch_size = max(self._batch_size // 2, 1)
        self._requeue(batch)
        if len(batch) == 1:
            self._set_aside(batch[0].fact.business_id)
        await asyncio.sleep(AWAY_SECONDS)

    async def _write_apart(self, batch: Sequence[_Pending], error: Exception) -> None:
        """Isolate the fact that cannot be written, by halving the batch until it is alone."""
        if len(batch) > 1:
            half = len(batch) // 2
            await self._write(batch[:half], lambda: None)
            await self._write(batch[half:], lambda: None)
        elif isinstance(error, UNWRITABLE):
            if not batch[0].recorded.done():
                batch[0].recorded.set_exception(error)
        else:
            if not isinstance(error, RowLockedError):
                log.error("could not write a fact of business %d, retrying", batch[0].fact.business_id, exc_info=error)
            self._requeue(batch)
            self._set_aside(batch[0].fact.business_id)

    def _answer(self, batch: Sequence[_Pending], recorded: Sequence[RecordResult]) -> None:
        results = {result.attempt_id: result for result in recorded}
        busy = [pending for pending in batch if results[pending.fact.attempt_id].verdict == RecordVerdict.BUSY]
        locked = {pending.fact.business_id for pending in busy}
        for pending in batch:
            result = results[pending.fact.attempt_id]
            if result.verdict != RecordVerdict.BUSY:
                self._count(pending.fact, result)
                if not pending.recorded.done():
                    pending.recorded.set_result(result)
            if pending.fact.business_id not in locked:
                self._pauses.pop(pending.fact.business_id, None)
        self._requeue(busy)
        for business_id in locked:
            self._set_aside(business_id)

    def _requeue(self, batch: Sequence[_Pending]) -> None:
        """Put facts back at the front of their queues; reject those that have waited too long."""
        now = asyncio.get_running_loop().time()
        for pending in reversed(batch):
            if min(pending.until, self._last_chance) < now and not pending.recorded.done():
                pending.recorded.set_exception(NotRecordedError(pending.fact.attempt_id))
            if not pending.recorded.done():
                self._waiting_of(pending.fact.business_id).appendleft(pending)

    def _set_aside(self, business_id: int) -> None:
        """Set a business aside while one of its rows is locked, for longer each time."""
        if business_id in self._ready:
            pause = min(max(self._pauses.get(business_id, 0.0) * 2, FIRST_BUSY_SECONDS), LONGEST_BUSY_SECONDS)
            self._pauses[business_id] = pause
            self._ready.remove(business_id)
            asyncio.get_running_loop().call_later(pause, self._come_back, business_id)

    def _come_back(self, business_id: int) -> None:
        self._ready.append(business_id)
        self._kicked.set()
