"""The gate of one provider account: permits first, then the claim, then the POST, without a pause between them.

Businesses queue here, each served in turn; over all workers the bucket keeps the turns. A permit in hand is used at once or goes back;
no attempt ever waits for anything but its own POST. A business whose rows are locked by somebody else is claimed for alone, beside the
others, who do not wait for that lock. When the provider says 429, or cannot be reached, the gate shuts for a while that grows, with
jitter, and then lets one call through to see.

On the road of a call: 3, between the business that wants leads and the claim that takes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.calls.call import SEND_SECONDS, WITHDRAWN
from dialer.model import AttemptState
from sql.attempts.attempts import MAX_BUSINESSES_PER_CLAIM, ClaimRequest, Fact, Verdict
from sql.errors import DatabaseUnavailableError, RowLockedError
from telephony.provider import UnansweredCall, UnsentCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from actors.dispatch.rate_limiter import RateLimiter
    from actors.services import Services
    from actors.tasks import Tasks
    from sql.attempts.attempts import ClaimedAttempt
    from telephony.provider import PlaceResult

# A claim holds the rows of its businesses while it runs, and a cancel waits for one of them: short ones keep that wait short.
MAX_PERMITS_PER_CLAIM = 32
FIRST_SHUT_SECONDS = 0.5
LONGEST_SHUT_SECONDS = 30.0
# So many unanswered POSTs in a row mean that the provider is in trouble; one may happen any day.
UNANSWERED_IN_A_ROW = 3
# A POST has been answered, or has timed out, long before: whoever still waits for it as a proof waits for nothing.
PROOF_SECONDS = 60.0
# With nothing said the gate looks this often whether it may serve again; after a failure of its own it waits as long.
LOOK_SECONDS = 1.0
# A claim whose answer was lost is looked for again when its rows could not have been sent any more.
DISOWN_AGAIN_SECONDS = SEND_SECONDS + 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The answer to a claim: the `intents` must be sent before `deadline` (boot clock, seconds)."""

    intents: tuple[ClaimedAttempt, ...]
    verdict: Verdict
    deadline: float


class Dispatcher:
    """Queue, permits and claims of one account."""

    def __init__(self, services: Services, tasks: Tasks, limiter: RateLimiter, claimed: Callable[[int, ClaimResult], None]) -> None:
        """`claimed` hears the answer for each business that asked."""
        self._services = services
        self._tasks = tasks
        self._limiter = limiter
        self._claimed = claimed
        self._queue: OrderedDict[int, ClaimRequest] = OrderedDict()
        self._rung = asyncio.Event()
        self._returned = asyncio.Event()
        self._failures = 0
        self._shuts = 0
        self._shut_for_these = False
        self._outstanding = 0
        self._proof_until = 0.0
        self._closed = False
        # Served, and not answered yet.
        self._served: dict[int, ClaimRequest] = {}
        # Those whose last claim met a lock are claimed for alone, one at a time, until one goes through.
        self._apart: set[int] = set()
        self._claims_apart = False

    def ask(self, ask: ClaimRequest) -> None:
        """Queue up; a business stands in the queue once."""
        self._queue[ask.business_id] = ask
        self._rung.set()

    def forget(self, business_id: int) -> None:
        """Leave the queue."""
        self._queue.pop(business_id, None)
        self._apart.discard(business_id)

    def close(self) -> None:
        """Claim nothing more."""
        self._closed = True
        self._rung.set()

    def answered(self, result: PlaceResult) -> None:
        """Hear what the provider said to a POST, and shut or open accordingly."""
        self._outstanding = max(self._outstanding - 1, 0)
        self._rung.set()
        if isinstance(result, UnsentCall) and not result.throttled:
            # The provider has not seen it: the permit is unused.
            self._tasks.spawn(self._give_back(1))
        self._note_result(result)
        # With a failure behind it the gate lets nothing more through until all of these are answered.
        self._shut_for_these = self._shut_for_these and self._outstanding > 0

    def slow_down(self, reason: str, seconds: float = LONGEST_SHUT_SECONDS) -> None:
        """Shut for so long: the provider has taken what we sent, and cannot keep up with it."""
        log.warning("the gate is shut for %.1f s: %s", seconds, reason)
        self._limiter.shut(seconds, reason)

    def _note_result(self, result: PlaceResult) -> None:
        if isinstance(result, UnsentCall) and result.reason == WITHDRAWN:
            return
        if not isinstance(result, UnsentCall | UnansweredCall):
            if self._failures:
                self._failures = self._shuts = 0
                self._shut_for_these = False
                self._tasks.spawn(self._limiter.open())
            return
        self._failures += 1
        if isinstance(result, UnansweredCall) and self._failures < UNANSWERED_IN_A_ROW:
            return
        seconds = self._shut_seconds()
        if isinstance(result, UnsentCall) and result.retry_after_seconds:
            seconds = max(seconds, result.retry_after_seconds)
        if not seconds:
            return
        log.warning("the gate is shut for %.1f s: %s", seconds, result.reason)
        self._limiter.shut(seconds, result.reason)

    def _shut_seconds(self) -> float:
        """How long to shut: longer each time one call, let through alone, fails too. What was on its way together fails together, once."""
        if self._shut_for_these:
            return 0.0
        self._shut_for_these = self._outstanding > 0
        longest = min(FIRST_SHUT_SECONDS * 2.0**self._shuts, LONGEST_SHUT_SECONDS)
        self._shuts += 1
        return longest * (0.5 + self._services.ids.fraction() / 2)

    async def run(self) -> None:
        """Serve the queue until closed, whatever happens in one round."""
        while not self._closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if self._queue else None):
                    await self._rung.wait()
            self._rung.clear()
            try:
                while self._may_serve():
                    await self._serve()
                await self._limiter.leave()
            except Exception:
                log.exception("a round of the gate failed; it goes on")
                self._answer_rest()
                await _pause(LOOK_SECONDS)
                self._rung.set()

    def _may_serve(self) -> bool:
        """After a failure one call goes through alone; the others wait for what becomes of it."""
        if self._outstanding and self._services.clock.boot() > self._proof_until:
            self._outstanding, self._shut_for_these = 0, False
        waits_for_proof = self._failures > 0 and self._outstanding > 0
        if self._services.clock.boot() < self._services.ownership.clock_trusted_from:
            # The database's clock has jumped: who waits here is served when he asks again, after the next poll.
            return False
        return bool(self._waiting()) and not self._closed and not waits_for_proof

    def _waiting(self) -> list[ClaimRequest]:
        """Who may be served now, in order; of those set apart the first, and nobody while another of them is claimed for."""
        apart = next((b for b in self._queue if b in self._apart), None) if self._apart and not self._claims_apart else None
        return [ask for b, ask in self._queue.items() if b not in self._apart or b == apart]

    async def _serve(self) -> None:
        waiting = self._waiting()
        wanted, businesses = (1, 1) if self._failures else (sum(ask.permits for ask in waiting), len(waiting))
        self._returned.clear()
        permits, wait_seconds = await self._limiter.take(wanted, businesses=businesses, most=MAX_PERMITS_PER_CLAIM)
        if not permits:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._returned.wait(), wait_seconds)
            return
        asks = self._share(permits)
        apart = [ask for ask in asks if ask.business_id in self._apart]
        for ask in apart:
            self._claims_apart = True
            self._tasks.spawn(self._claim_alone(ask))
        together = [ask for ask in asks if ask.business_id not in self._apart]
        taken = await self._claim(together) if together else 0
        unused = permits - taken - sum(ask.permits for ask in apart)
        if unused > 0:
            await self._give_back(unused)

    async def _claim_alone(self, ask: ClaimRequest) -> None:
        """Claim for a business that met a lock; the others are served meanwhile."""
        try:
            taken = await self._claim([ask])
            if taken < ask.permits:
                await self._give_back(ask.permits - taken)
        finally:
            self._claims_apart = False
            self._rung.set()

    async def _give_back(self, permits: int) -> None:
        await self._limiter.give_back(permits)
        self._returned.set()

    def _share(self, permits: int) -> list[ClaimRequest]:
        """One permit for each in turn, until they are used up; who is served leaves the queue, and comes to its end by asking again."""
        served = self._waiting()[: min(permits, MAX_BUSINESSES_PER_CLAIM)]
        for ask in served:
            self._served[ask.business_id] = self._queue.pop(ask.business_id)
        shares = dict.fromkeys((ask.business_id for ask in served), 0)
        while permits > 0 and any(shares[ask.business_id] < ask.permits for ask in served):
            for ask in served:
                if permits > 0 and shares[ask.business_id] < ask.permits:
                    shares[ask.business_id] += 1
                    permits -= 1
        return [ClaimRequest(ask.business_id, ask.epoch, shares[ask.business_id]) for ask in served]

    async def _claim(self, asks: Sequence[ClaimRequest]) -> int:
        """Claim for these businesses; return how many attempts were taken."""
        token = self._services.ids.uuid()
        rules = self._services.policy
        deadline = self._services.clock.boot() + SEND_SECONDS
        business_ids = [ask.business_id for ask in asks]
        try:
            intents, verdicts = await self._services.attempts.claim(
                self._services.ownership.incarnation,
                token,
                asks,
                send_seconds=SEND_SECONDS,
                ring_seconds=rules.ring_seconds,
                default_account=rules.default_account,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, these businesses wait for an answer
            # Its rows may have been committed all the same, whatever failed afterwards.
            self._tasks.spawn(self._disown(business_ids, token))
            return await self._claim_failed(asks, error)
        self._apart.difference_update(business_ids)
        self._answer(asks, intents, verdicts, deadline)
        return len(intents)

    async def _claim_failed(self, asks: Sequence[ClaimRequest], error: Exception) -> int:
        """What concerns one of these businesses must not stop the others: find out which it is, and let that one rest."""
        alone = len(asks) == 1
        if isinstance(error, RowLockedError):
            # To halve the batch would wait for the same lock again, with the other half in hand.
            log.warning("a claim for %d businesses met a lock: %s", len(asks), type(error).__name__)
            self._apart.update(ask.business_id for ask in asks)
            if alone:
                self._answer_all(asks, "busy")
            else:
                self._requeue(asks)
        elif isinstance(error, DatabaseUnavailableError):
            log.warning("a claim for %d businesses was not answered: %s", len(asks), type(error).__name__)
            self._answer_all(asks, "away")
        elif alone:
            log.error("business %d is parked: no lead of it can be taken", asks[0].business_id, exc_info=error)
            self._answer_all(asks, "parked")
        else:
            half = len(asks) // 2
            return await self._claim(asks[:half]) + await self._claim(asks[half:])
        return 0

    def _requeue(self, asks: Sequence[ClaimRequest]) -> None:
        """To the front, in their order; one that has asked again meanwhile keeps what it asked for."""
        for ask in reversed(asks):
            self._queue.setdefault(ask.business_id, self._served.pop(ask.business_id, ask))
            self._queue.move_to_end(ask.business_id, last=False)
        self._rung.set()

    def _answer_all(self, asks: Iterable[ClaimRequest], code: str) -> None:
        waiting = list(asks)
        self._answer(waiting, (), [Verdict(ask.business_id, code) for ask in waiting], 0)

    def _answer_rest(self) -> None:
        """Let nobody wait for an answer that does not come."""
        self._answer_all(self._served.values(), "away")

    def _answer(
        self, asks: Sequence[ClaimRequest], intents: Sequence[ClaimedAttempt], verdicts: Sequence[Verdict], deadline: float
    ) -> None:
        if intents:
            self._outstanding += len(intents)
            self._proof_until = self._services.clock.boot() + PROOF_SECONDS
        by_business = {verdict.business_id: verdict for verdict in verdicts}
        for ask in asks:
            self._served.pop(ask.business_id, None)
            mine = tuple(intent for intent in intents if intent.business_id == ask.business_id)
            verdict = by_business.get(ask.business_id, Verdict(ask.business_id, "not_owner"))
            try:
                self._claimed(ask.business_id, ClaimResult(mine, verdict, deadline))
            except Exception:
                # Its calls, if they were not begun, are found by the next poll; its neighbours have nothing to do with it.
                log.exception("business %d did not take the answer to its claim", ask.business_id)

    async def _disown(self, business_ids: Sequence[int], token: UUID) -> None:
        """Whatever this claim has created was never sent: say so, now and when it is certain that no more of it can appear."""
        for seconds in (0.0, DISOWN_AGAIN_SECONDS):
            await _pause(seconds)
            try:
                lost = await self._services.attempts.lost_claim(business_ids, token)
            except Exception as error:  # noqa: BLE001 - it is tried once more, and what is left is looked for at the provider
                log.warning("what a claim has left could not be looked for: %s", type(error).__name__)
                continue
            for business_id, attempt_id, nonce in lost:
                await self._services.facts.record(
                    Fact(business_id, attempt_id, nonce, AttemptState.NOT_SENT, token=str(token), reason="the claim was not answered")
                )


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)
