"""The dispatcher of one provider account: permits first, then the claim, then the POST, without a pause between them.

Businesses queue here and are served in turn; the rate limiter keeps the turns over all workers. A permit is used at once or given back; no
claimed attempt ever waits for anything but its own POST. A business whose rows are locked is claimed for alone, so that the others do not
wait for that lock.

On the road of a call: 3, between the business that wants leads and the claim that takes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors import worker_spans
from dialer.concurrency.loop import Loop, wait_for_event
from dialer.model import AttemptState
from dialer.policy.checks import SEND_SECONDS
from sql.attempts.attempts import MAX_BUSINESSES_PER_CLAIM, ClaimRequest, Fact, Verdict
from sql.attempts.verdicts import VerdictCode
from sql.errors import DatabaseUnavailableError, RowLockedError
from telephony.provider import UnsentCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from actors.dispatch.circuit_breaker import CircuitBreaker
    from actors.dispatch.rate_limiter import RateLimiter
    from actors.services import Services
    from dialer.concurrency.tasks import Tasks
    from sql.attempts.attempts import ClaimedAttempt
    from telephony.provider import PlaceResult

# A claim locks the rows of its businesses while it runs, and a cancel waits for one of them: small claims keep that wait short.
MAX_PERMITS_PER_CLAIM = 64
# A claim whose statement runs, and the one before it that is being flushed; each holds a connection.
MAX_CLAIMS_AT_ONCE = 2
# While businesses are queued, check this often whether they may be served again; after an unexpected error, pause as long.
POLL_SECONDS = 1.0
# After a lost claim, search again once its rows can no longer be sent.
SEARCH_AGAIN_SECONDS = SEND_SECONDS + 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The answer to a claim: the `attempts` must be sent before `deadline` (boot clock, seconds)."""

    attempts: tuple[ClaimedAttempt, ...]
    verdict: Verdict
    deadline: float


class Dispatcher:
    """Queue, permits and claims of one account."""

    def __init__(
        self,
        services: Services,
        tasks: Tasks,
        limiter: RateLimiter,
        breaker: CircuitBreaker,
        claimed: Callable[[int, ClaimResult], None],
    ) -> None:
        """`claimed` gets the answer for each business that was claimed for."""
        self._services = services
        self._tasks = tasks
        self._limiter = limiter
        self._breaker = breaker
        self._claimed = claimed
        self._queue: OrderedDict[int, ClaimRequest] = OrderedDict()
        self._permits_returned = asyncio.Event()
        # Since when each waits for a permit, by the boot clock.
        self.paced_since: dict[int, float] = {}
        # Taken out of the queue, and not answered yet.
        self._served: dict[int, ClaimRequest] = {}
        # Businesses whose last claim met a lock are claimed for alone, one at a time, until a claim succeeds.
        self._alone: set[int] = set()
        self._claiming_alone = False
        self._claims = asyncio.Semaphore(MAX_CLAIMS_AT_ONCE)
        # The businesses of the claims in progress.
        self._claiming: set[int] = set()
        self.loop = Loop("dispatcher", self._serve_queue, pause=lambda: POLL_SECONDS if self._queue else None)

    def enqueue(self, request: ClaimRequest) -> None:
        """Queue up; a business is in the queue once."""
        self._queue[request.business_id] = request
        self.loop.ring()

    def remove(self, business_id: int) -> None:
        """Take a business out of the queue."""
        self._queue.pop(business_id, None)
        self.paced_since.pop(business_id, None)
        self._alone.discard(business_id)

    def record(self, result: PlaceResult) -> None:
        """Take note of the result of a POST: its permit may be unused, and the circuit breaker opens or closes accordingly."""
        self.loop.ring()
        if isinstance(result, UnsentCall) and not result.throttled:
            # The provider has not seen it: the permit is unused.
            self._tasks.spawn(self._give_back(1))
        self._breaker.record(result)

    def slow_down(self, reason: str, seconds: float | None = None) -> None:
        """Stop for so many seconds: the provider has taken what we sent, and cannot keep up with it."""
        if seconds is None:
            self._breaker.trip(reason)
        else:
            self._breaker.trip(reason, seconds)

    # -- the queue ---------------------------------------------------------------------------------------------------------------

    async def _serve_queue(self) -> None:
        """Serve until nothing may be served; an error of one round must not stop the account."""
        try:
            while self._may_serve():
                await self._serve()
            await self._limiter.leave()
        except Exception:
            log.exception("a round of a dispatcher failed; retrying")
            # Their claims were not made: let them ask again.
            self._answer_all([r for b, r in self._served.items() if b not in self._claiming], VerdictCode.AWAY)
            await asyncio.sleep(POLL_SECONDS)
            self.loop.ring()

    def _may_serve(self) -> bool:
        waits_for_result = self._breaker.waits_for_result() or (self._breaker.half_open and bool(self._claiming))
        if self._services.clock.boot() < self._services.ownership.clock_trusted_from:
            # The database's clock has jumped: a business is served when it asks again, after the next poll.
            return False
        return bool(self._servable()) and not self.loop.closed and not waits_for_result

    def _servable(self) -> list[ClaimRequest]:
        """The requests that may be served now, in order; of those to be claimed for alone the first, and none while one is in progress."""
        alone = next((b for b in self._queue if b in self._alone), None) if self._alone and not self._claiming_alone else None
        return [request for b, request in self._queue.items() if b not in self._alone or b == alone]

    async def _serve(self) -> None:
        # Wait for room first: permits are used at once, or given back.
        async with self._claims:
            pass
        self._permits_returned.clear()
        permits, wait_seconds = await self._take_permits()
        if not permits:
            await wait_for_event(self._permits_returned, wait_seconds)
            return
        requests = self._share(permits)
        alone = [request for request in requests if request.business_id in self._alone]
        for request in alone:
            self._claiming_alone = True
            self._tasks.spawn(self._claim_alone(request))
        together = [request for request in requests if request.business_id not in self._alone]
        left = permits - sum(request.permits for request in alone)
        if together:
            committed = asyncio.Event()
            self._tasks.spawn(self._claim_together(together, left, committed))
            await committed.wait()
        elif left > 0:
            await self._give_back(left)

    async def _take_permits(self) -> tuple[int, float]:
        """How many permits there are, and when none, after how many seconds to ask again."""
        open_seconds = await self._breaker.open_seconds()
        if open_seconds > 0:
            self.paced_since.clear()
            return 0, open_seconds
        waiting = self._servable()
        self._note_pace(waiting)
        wanted, businesses = (1, 1) if self._breaker.half_open else (sum(request.permits for request in waiting), len(waiting))
        return await self._limiter.take(wanted, businesses=businesses, most=MAX_PERMITS_PER_CLAIM)

    def _note_pace(self, waiting: Sequence[ClaimRequest]) -> None:
        now = self._services.clock.boot()
        for request in waiting:
            self.paced_since.setdefault(request.business_id, now)

    def _share(self, permits: int) -> list[ClaimRequest]:
        """Deal the permits out one by one in turn. A served business leaves the queue, and joins its end by asking again."""
        served = self._servable()[: min(permits, MAX_BUSINESSES_PER_CLAIM)]
        for request in served:
            self._served[request.business_id] = self._queue.pop(request.business_id)
            self.paced_since.pop(request.business_id, None)
        shares = dict.fromkeys((request.business_id for request in served), 0)
        while permits > 0 and any(shares[request.business_id] < request.permits for request in served):
            for request in served:
                if permits > 0 and shares[request.business_id] < request.permits:
                    shares[request.business_id] += 1
                    permits -= 1
        return [ClaimRequest(request.business_id, request.epoch, shares[request.business_id]) for request in served]

    async def _give_back(self, permits: int) -> None:
        await self._limiter.give_back(permits)
        self._permits_returned.set()

    # -- claims ------------------------------------------------------------------------------------------------------------------

    async def _claim_together(self, requests: Sequence[ClaimRequest], permits: int, committed: asyncio.Event) -> None:
        """Claim with these permits; `committed` is set when the next claim may be made, while this one is being flushed.

        While only one call may go through, the next claim waits for the whole of this one.
        """
        try:
            async with self._claims:
                taken = await self._claim(requests, (lambda: None) if self._breaker.half_open else committed.set)
            if taken < permits:
                await self._give_back(permits - taken)
        except Exception:
            log.exception("a claim for %d businesses failed; they may ask again", len(requests))
            self._answer_all([request for request in requests if request.business_id in self._served], VerdictCode.AWAY)
        finally:
            committed.set()
            self.loop.ring()

    async def _claim_alone(self, request: ClaimRequest) -> None:
        """Claim for a business that met a lock; the others are served meanwhile."""
        try:
            taken = await self._claim([request])
            if taken < request.permits:
                await self._give_back(request.permits - taken)
        finally:
            self._claiming_alone = False
            self.loop.ring()

    async def _claim(self, requests: Sequence[ClaimRequest], committed: Callable[[], None] = lambda: None) -> int:
        """Claim for these businesses; return how many attempts were taken."""
        self._claiming.update(request.business_id for request in requests)
        try:
            return await self._claim_for(requests, committed)
        finally:
            self._claiming.difference_update(request.business_id for request in requests)

    async def _claim_for(self, requests: Sequence[ClaimRequest], committed: Callable[[], None]) -> int:
        token = self._services.ids.uuid()
        policy = self._services.policy
        deadline = self._services.clock.boot() + SEND_SECONDS
        business_ids = [request.business_id for request in requests]
        began = self._services.clock.boot()
        try:
            attempts, verdicts = await self._services.attempts.claim(
                self._services.ownership.incarnation,
                token,
                requests,
                send_seconds=SEND_SECONDS,
                ring_seconds=policy.ring_seconds,
                max_minutes=policy.max_minutes,
                default_account=policy.default_account,
                committed=committed,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, these businesses wait for an answer
            # Its rows may have been committed all the same, whatever failed afterwards.
            self._tasks.spawn(self._cancel_lost_claim(business_ids, token))
            return await self._claim_failed(requests, error)
        self._alone.difference_update(business_ids)
        self._services.metrics.count_claim([one.code for one in verdicts], len(attempts), self._services.clock.boot() - began)
        worker_spans.leads_claimed(self._services, attempts, began)
        self._answer(requests, attempts, verdicts, deadline)
        return len(attempts)

    async def _claim_failed(self, requests: Sequence[ClaimRequest], error: Exception) -> int:
        """Keep an error of one business from stopping the others: find out which business it is, and let that one rest."""
        single = len(requests) == 1
        if isinstance(error, RowLockedError):
            # Halving the batch would wait for the same lock again, together with the other half.
            log.warning("a claim for %d businesses met a lock: %s", len(requests), type(error).__name__)
            self._alone.update(request.business_id for request in requests)
            if single:
                self._answer_all(requests, VerdictCode.BUSY)
            else:
                self._requeue(requests)
        elif isinstance(error, DatabaseUnavailableError):
            log.warning("a claim for %d businesses was not answered: %s", len(requests), type(error).__name__)
            self._answer_all(requests, VerdictCode.AWAY)
        elif single:
            log.error("business %d is parked: claims for it fail", requests[0].business_id, exc_info=error)
            self._answer_all(requests, VerdictCode.PARKED)
        else:
            half = len(requests) // 2
            return await self._claim(requests[:half]) + await self._claim(requests[half:])
        return 0

    def _requeue(self, requests: Sequence[ClaimRequest]) -> None:
        """Put requests back to the front, in their order; a newer request of the same business stays as it is."""
        for request in reversed(requests):
            self._queue.setdefault(request.business_id, self._served.pop(request.business_id, request))
            self._queue.move_to_end(request.business_id, last=False)
        self.loop.ring()

    def _answer_all(self, requests: Iterable[ClaimRequest], code: VerdictCode) -> None:
        answered = list(requests)
        self._services.metrics.count_verdict(code, len(answered))
        self._answer(answered, (), [Verdict(request.business_id, code) for request in answered], 0)

    def _answer(
        self, requests: Sequence[ClaimRequest], attempts: Sequence[ClaimedAttempt], verdicts: Sequence[Verdict], deadline: float
    ) -> None:
        if attempts:
            self._breaker.sent(len(attempts))
        by_business = {verdict.business_id: verdict for verdict in verdicts}
        for request in requests:
            self._served.pop(request.business_id, None)
            mine = tuple(attempt for attempt in attempts if attempt.business_id == request.business_id)
            verdict = by_business.get(request.business_id, Verdict(request.business_id, VerdictCode.NOT_OWNER))
            try:
                self._claimed(request.business_id, ClaimResult(mine, verdict, deadline))
            except Exception:
                # Calls that were not started are found by the next poll; the other businesses are not affected.
                log.exception("business %d failed to handle the answer to its claim", request.business_id)

    async def _cancel_lost_claim(self, business_ids: Sequence[int], token: UUID) -> None:
        """Record that the attempts of this claim were never sent: now, and again once no more of them can appear."""
        for seconds in (0.0, SEARCH_AGAIN_SECONDS):
            await _pause(seconds)
            try:
                attempts = await self._services.attempts.lost_claim(business_ids, token)
            except Exception as error:  # noqa: BLE001 - it is tried once more; what is left becomes unknown, and is searched at the provider
                log.warning("could not search for the attempts of a lost claim: %s", type(error).__name__)
                continue
            for business_id, attempt_id, nonce in attempts:
                await self._services.facts.record(
                    Fact(business_id, attempt_id, nonce, AttemptState.NOT_SENT, token=str(token), reason="the claim was not answered")
                )


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)
