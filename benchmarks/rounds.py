"""Rounds of claim, call and record by the product's own statements, without a telephone company."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

from actors.dispatch.dispatcher import MAX_PERMITS_PER_CLAIM
from dialer.model import AttemptState
from sql.attempts.attempts import ClaimedAttempt, Fact
from sql.attempts.fact_writer import MAX_FACTS_AT_ONCE
from sql.attempts.verdicts import RecordVerdict, VerdictCode

if TYPE_CHECKING:
    from uuid import UUID

    from sql.attempts.attempts import Attempts, ClaimRequest

Call: TypeAlias = Callable[[ClaimedAttempt], Awaitable[None]]
SLOTS = 3
BATCH = MAX_PERMITS_PER_CLAIM // SLOTS


async def at_once(_: ClaimedAttempt) -> None:
    """Call for no time at all."""


class Round:
    """Claims for its businesses, calls, and records, in batches as large as a worker's."""

    def __init__(self, attempts: Attempts, incarnation: UUID, requests: dict[int, ClaimRequest], call: Call = at_once) -> None:
        self._call = call
        self._attempts = attempts
        self._incarnation = incarnation
        self._requests = requests
        self.calls = 0
        self.most = 0
        self.claim_ms: list[float] = []

    async def run(self, calls: float = inf) -> None:
        """Go on until no lead of its businesses is left, or so many have been called."""
        pending = list(self._requests)
        while pending and self.calls < calls:
            batch, pending = pending[:BATCH], pending[BATCH:]
            started_at = time.perf_counter()
            claimed, verdicts = await self._attempts.claim(
                self._incarnation,
                uuid4(),
                [self._requests[b] for b in batch],
                send_seconds=5,
                ring_seconds=30,
                max_minutes=10,
                default_account="AC",
            )
            self.claim_ms.append((time.perf_counter() - started_at) * 1000)
            self.most = max(self.most, *Counter(attempt.business_id for attempt in claimed).values(), 0)
            await asyncio.gather(*(self._call(attempt) for attempt in claimed))
            for first in range(0, len(claimed), MAX_FACTS_AT_ONCE):
                await self._record(claimed[first : first + MAX_FACTS_AT_ONCE])
            pending += [verdict.business_id for verdict in verdicts if verdict.code != VerdictCode.EMPTY]

    async def _record(self, claimed: list[ClaimedAttempt]) -> None:
        facts = [
            Fact(i.business_id, i.attempt_id, i.nonce, AttemptState.OVER, sid=f"CA{i.attempt_id:032}", outcome="completed", duration=1)
            for i in claimed
        ]
        results = await self._attempts.record(facts)
        self.calls += sum(result.verdict == RecordVerdict.APPLIED for result in results)
