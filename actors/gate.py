"""The gate of one provider account: permits first, then the claim, then the POST, without a pause between them.

Businesses queue here, each served in turn. A permit in hand is used at once or goes back; no attempt ever waits for anything but its
own POST. When the provider says 429, or cannot be reached, the gate shuts for a while that grows, with jitter, and then lets one
call through to see.

On the road of a call: 3. Between the business that wants leads and the claim that takes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from actors.business import Claimed
from actors.call import SEND_SECONDS, WITHDRAWN
from dialer.model import AttemptState
from sql.attempts import MAX_BUSINESSES_PER_CLAIM, Ask, Fact, Verdict
from sql.pool import AWAY, LOCKED
from telephony.provider import NotSent, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from actors.bucket import Bucket
    from actors.ports import World
    from actors.tasks import Tasks
    from sql.attempts import Intent
    from telephony.provider import PlaceResult

# A claim holds the rows of its businesses while it runs, and a cancel waits for one of them: short ones keep that wait short.
MAX_PERMITS_PER_CLAIM = 32
FIRST_SHUT_SECONDS = 0.5
LONGEST_SHUT_SECONDS = 30.0
# So many unanswered POSTs in a row mean that the provider is in trouble; one may happen any day.
UNANSWERED_IN_A_ROW = 3
# A claim whose answer was lost is looked for again when its rows could not have been sent any more.
DISOWN_AGAIN_SECONDS = SEND_SECONDS + 1.0

log = logging.getLogger(__name__)


class Gate:
    """Queue, permits and claims of one account."""

    def __init__(self, world: World, tasks: Tasks, bucket: Bucket, claimed: Callable[[int, Claimed], None]) -> None:
        """`claimed` hears the answer for each business that asked."""
        self._world = world
        self._tasks = tasks
        self._bucket = bucket
        self._claimed = claimed
        self._queue: OrderedDict[int, Ask] = OrderedDict()
        self._rung = asyncio.Event()
        self._returned = asyncio.Event()
        self._failures = 0
        self._shuts = 0
        self._shut_for_these = False
        self._outstanding = 0
        self._closed = False

    def ask(self, ask: Ask) -> None:
        """Queue up; a business stands in the queue once."""
        self._queue[ask.business_id] = ask
        self._rung.set()

    def forget(self, business_id: int) -> None:
        """Leave the queue."""
        self._queue.pop(business_id, None)

    def close(self) -> None:
        """Claim nothing more."""
        self._closed = True
        self._rung.set()

    def answered(self, result: PlaceResult) -> None:
        """Hear what the provider said to a POST, and shut or open accordingly."""
        self._outstanding -= 1
        self._rung.set()
        if isinstance(result, NotSent) and not result.throttled:
            # The provider has not seen it: the permit is unused.
            self._tasks.spawn(self._give_back(1))
        self._hear(result)
        # With a failure behind it the gate lets nothing more through until all of these are answered.
        self._shut_for_these = self._shut_for_these and self._outstanding > 0

    def _hear(self, result: PlaceResult) -> None:
        if isinstance(result, NotSent) and result.reason == WITHDRAWN:
            return
        if not isinstance(result, NotSent | Unanswered):
            if self._failures:
                self._failures = self._shuts = 0
                self._shut_for_these = False
                self._tasks.spawn(self._bucket.open())
            return
        self._failures += 1
        if isinstance(result, Unanswered) and self._failures < UNANSWERED_IN_A_ROW:
            return
        seconds = self._shut_seconds()
        if isinstance(result, NotSent) and result.retry_after_seconds:
            seconds = max(seconds, result.retry_after_seconds)
        if not seconds:
            return
        log.warning("the gate is shut for %.1f s: %s", seconds, result.reason)
        self._bucket.shut(seconds, result.reason)

    def _shut_seconds(self) -> float:
        """How long to shut: longer each time one call, let through alone, fails too. What was on its way together fails together, once."""
        if self._shut_for_these:
            return 0.0
        self._shut_for_these = self._outstanding > 0
        longest = min(FIRST_SHUT_SECONDS * 2.0**self._shuts, LONGEST_SHUT_SECONDS)
        self._shuts += 1
        return longest * (0.5 + self._world.ids.fraction() / 2)

    async def run(self) -> None:
        """Serve the queue until closed."""
        while not self._closed:
            await self._rung.wait()
            self._rung.clear()
            while self._may_serve():
                await self._serve()

    def _may_serve(self) -> bool:
        """After a failure one call goes through alone; the others wait for what becomes of it."""
        waits_for_proof = self._failures > 0 and self._outstanding > 0
        return bool(self._queue) and not self._closed and not waits_for_proof

    async def _serve(self) -> None:
        wanted = 1 if self._failures else min(sum(ask.permits for ask in self._queue.values()), MAX_PERMITS_PER_CLAIM)
        self._returned.clear()
        permits, wait_seconds = await self._bucket.take(wanted)
        if not permits:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._returned.wait(), wait_seconds)
            return
        asks = self._share(permits)
        taken = await self._claim(asks)
        if taken < permits:
            await self._give_back(permits - taken)

    async def _give_back(self, permits: int) -> None:
        await self._bucket.give_back(permits)
        self._returned.set()

    def _share(self, permits: int) -> list[Ask]:
        """One permit for each in turn, until they are used up; who is served leaves the queue, and comes to its end by asking again."""
        served = [self._queue.popitem(last=False)[1] for _ in range(min(len(self._queue), permits, MAX_BUSINESSES_PER_CLAIM))]
        shares = dict.fromkeys((ask.business_id for ask in served), 0)
        while permits > 0 and any(shares[ask.business_id] < ask.permits for ask in served):
            for ask in served:
                if permits > 0 and shares[ask.business_id] < ask.permits:
                    shares[ask.business_id] += 1
                    permits -= 1
        return [Ask(ask.business_id, ask.epoch, shares[ask.business_id]) for ask in served]

    async def _claim(self, asks: Sequence[Ask]) -> int:
        """Claim for these businesses; return how many attempts were taken."""
        token = self._world.ids.uuid()
        rules = self._world.rules
        deadline = self._world.clock.boot() + SEND_SECONDS
        try:
            intents, verdicts = await self._world.attempts.claim(
                self._world.held.incarnation,
                token,
                asks,
                send_seconds=SEND_SECONDS,
                ring_seconds=rules.ring_seconds,
                default_account=rules.default_account,
            )
        except (*AWAY, *LOCKED) as error:
            log.warning("a claim for %d businesses was not answered: %s", len(asks), type(error).__name__)
            self._answer(asks, (), [Verdict(ask.business_id, "away") for ask in asks], deadline)
            self._tasks.spawn(self._disown([ask.business_id for ask in asks], token))
            return 0
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns one of these businesses and not the others
            return await self._claim_apart(asks, error)
        self._answer(asks, intents, verdicts, deadline)
        return len(intents)

    async def _claim_apart(self, asks: Sequence[Ask], error: Exception) -> int:
        """One business that cannot be claimed for must not stop the others: halve until it stands alone, then let it rest."""
        if len(asks) == 1:
            log.error("business %d is parked: no lead of it can be taken", asks[0].business_id, exc_info=error)
            self._answer(asks, (), [Verdict(asks[0].business_id, "parked")], 0)
            return 0
        half = len(asks) // 2
        return await self._claim(asks[:half]) + await self._claim(asks[half:])

    def _answer(self, asks: Sequence[Ask], intents: Sequence[Intent], verdicts: Sequence[Verdict], deadline: float) -> None:
        self._outstanding += len(intents)
        words = {verdict.business_id: verdict for verdict in verdicts}
        for ask in asks:
            mine = tuple(intent for intent in intents if intent.business_id == ask.business_id)
            self._claimed(ask.business_id, Claimed(mine, words.get(ask.business_id, Verdict(ask.business_id, "not_owner")), deadline))

    async def _disown(self, business_ids: Sequence[int], token: UUID) -> None:
        """Whatever this claim has created was never sent: say so, now and when it is certain that no more of it can appear."""
        for seconds in (0.0, DISOWN_AGAIN_SECONDS):
            await _pause(seconds)
            try:
                lost = await self._world.attempts.lost_claim(business_ids, token)
            except (*AWAY, *LOCKED):
                continue
            for business_id, attempt_id, nonce in lost:
                await self._world.ledger.learn(
                    Fact(business_id, attempt_id, nonce, AttemptState.NOT_SENT, token=str(token), reason="the claim was not answered")
                )


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)
