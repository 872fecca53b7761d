"""Places one call and follows it to its end. Each fact is recorded first; only then is the business's supervisor notified.

A call that was placed by another worker, or by an earlier incarnation of this one, is only followed.

On the road of a call: 5, the POST; and after 7, where the hint of a callback arrives.
"""

from __future__ import annotations

import logging
from asyncio import Event
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from actors import worker_spans
from actors.calls.call_account import account_of
from actors.calls.reconciler import AFTER_HANG_UP_SECONDS, reconcile, record
from dialer.concurrency.loop import wait_for_event
from dialer.log import about
from dialer.model import AttemptReason, AttemptState, Outcome, Reference
from dialer.policy.checks import pause_before_check
from sql.attempts.attempts import ClaimedAttempt, Fact, OpenAttempt
from sql.errors import DatabaseUnavailableError
from telephony.provider import CallRequest, PlacedCall, RefusedCall, UnansweredCall, UnsentCall
from telephony.refusals import CALLBACK_WAITS, Action

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from actors.calls.reconciler import SlowDown
    from actors.services import Services
    from dialer.messages import CallChanged
    from sql.attempts.attempts import RecordResult
    from telephony.provider import Account, PlaceResult

# How long to pause when the account has too many calls at once: lines become free within seconds, and the leads wait in the queue.
TOO_MANY_CALLS_SECONDS = 5.0

# Makes Twilio retry a callback that we do not answer; it is neither sent nor signed.
RETRIED = "#rc=5&rp=all"

log = logging.getLogger(__name__)


class Silence(Enum):
    """The wait for a hint timed out."""

    SILENCE = "silence"


SILENCE = Silence.SILENCE


class Call:
    """The coroutine that handles one attempt, and its mailbox for hints from the business's supervisor."""

    def __init__(
        self, services: Services, attempt: ClaimedAttempt | OpenAttempt, posted: Callable[[PlaceResult], None], slow_down: SlowDown
    ) -> None:
        """`posted` is called with the result of the POST; `slow_down` is called when the provider cannot keep up with our requests."""
        self._services = services
        self._posted = posted
        self._slow_down = slow_down
        self._mail: deque[CallChanged | None] = deque()
        self._bell = Event()
        self._confirmed_at = float("-inf")
        self.attempt = attempt
        self.placing = isinstance(attempt, ClaimedAttempt)
        self.withdrawn = False
        # For its span; None once that is over.
        self._began: datetime | None = attempt.created_at if isinstance(attempt, OpenAttempt) else None
        # The task that runs this call; set by the code that started the task.
        self.task: Task[None] | None = None

    async def place_and_follow(self, attempt: ClaimedAttempt, deadline: float) -> None:
        """Place the call of a newly claimed attempt before `deadline` (boot clock, seconds), and follow it to its end."""
        self._began = worker_spans.claimed_at(self._services, deadline)
        try:
            result = await self._place(attempt, deadline)
        finally:
            self.placing = False
        if result.state and result.state.open:
            with about(sid=result.sid):
                await self.follow(AFTER_HANG_UP_SECONDS if result.hang_up else self._pause(result.state))

    async def follow(self, check_in: float) -> None:
        """Follow a call that may exist until it ends; query the provider after `check_in` seconds without a hint or a confirmation."""
        pause: float | None = check_in
        wait = check_in
        while pause is not None:
            hint = await self._next_hint(wait)
            wait = self._confirmed_at + pause - self._services.clock.boot()
            if hint is SILENCE and wait > 0:
                continue
            if hint is SILENCE or hint is None or hint.hang_up:
                pause = await reconcile(self._services, self.attempt, self._slow_down)
            elif AttemptState(hint.state).open:
                pause = self._pause(AttemptState(hint.state))
            else:
                if hint.error_code in CALLBACK_WAITS:
                    self._slow_down("the account has reached its limit of concurrent calls", TOO_MANY_CALLS_SECONDS)
                return
            wait = pause or 0.0

    def note_end(self) -> None:
        """Note, the first time, that the call is over, or was never placed."""
        if self._began:
            worker_spans.call_ended(self._services, self.attempt, self._began)
        self._began = None

    def notify(self, hint: CallChanged) -> None:
        """Deliver a hint: a fact about this call has been recorded."""
        self._mail.append(hint)
        self._bell.set()

    def check_now(self) -> None:
        """Query the provider at once: our record of this call may be out of date."""
        if None not in self._mail:
            self._mail.append(None)
        self._bell.set()

    def confirm(self) -> None:
        """Note that the provider's list agrees with our record of this call, so that it need not be fetched separately."""
        self._confirmed_at = self._services.clock.boot()

    def _pause(self, state: AttemptState) -> float:
        return pause_before_check(state, 0, self._services.policy.ring_seconds)

    async def _place(self, attempt: ClaimedAttempt, deadline: float) -> RecordResult:
        account = await self._account(attempt)
        if account is None:
            # The business has changed its account. This worker will read the new one soon; until then its circuit breaker is open.
            result: PlaceResult = UnsentCall(AttemptReason.NO_CREDENTIALS)
            self._posted(result)
            return await self._services.facts.record(fact_of(attempt, result))
        # Withdrawn: before the POST, its run was cancelled or its worker gave up the business.
        began = self._services.clock.now()
        result = UnsentCall(AttemptReason.WITHDRAWN) if self.withdrawn else await self._post(account, attempt, deadline)
        worker_spans.call_posted(self._services, attempt, result, began)
        self._services.metrics.count_post(result)
        self._posted(result)
        with about(sid=result.sid if isinstance(result, PlacedCall) else None):
            _log_result(result)
            return await record(self._services, account, fact_of(attempt, result))

    async def _account(self, attempt: ClaimedAttempt) -> Account | None:
        try:
            return await account_of(self._services, attempt.business_id, attempt.account_sid)
        except DatabaseUnavailableError:
            return None

    async def _post(self, account: Account, attempt: ClaimedAttempt, deadline: float) -> PlaceResult:
        try:
            return await self._services.provider.place(account, self._request(attempt), deadline=deadline)
        except Exception:
            # `place` is not supposed to raise. If it does, the request may have been sent.
            log.exception("attempt %d: the provider client failed", attempt.attempt_id)
            return UnansweredCall(AttemptReason.CLIENT_FAULT)

    def _request(self, attempt: ClaimedAttempt) -> CallRequest:
        policy = self._services.policy
        reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
        return CallRequest(
            to=attempt.phone,
            from_=attempt.from_number,
            url=f"{policy.public_url}/twiml/{reference}",
            status_callback=f"{policy.public_url}/callbacks/{reference}{RETRIED}",
            ring_timeout_seconds=policy.ring_seconds,
            time_limit_seconds=policy.limit_seconds,
            machine_detection=attempt.machine_detection,
            machine_callback=f"{policy.public_url}/callbacks/{reference}/machine{RETRIED}" if attempt.machine_detection_async else None,
            recording_callback=f"{policy.public_url}/callbacks/{reference}/recording{RETRIED}" if attempt.record else None,
        )

    async def _next_hint(self, seconds: float) -> CallChanged | Silence | None:
        if not self._mail:
            self._bell.clear()
            if not await wait_for_event(self._bell, seconds):
                return SILENCE
        return self._mail.popleft()


def about_call(attempt: ClaimedAttempt | OpenAttempt, trace_id: str | None) -> AbstractContextManager[None]:
    """Add the ids of this attempt, and that of the trace of its run if there is one, to what is logged in a block."""
    sid = None if isinstance(attempt, ClaimedAttempt) else attempt.sid
    return about(
        business_id=attempt.business_id,
        run_id=attempt.run_id,
        job_id=attempt.job_id,
        attempt_id=attempt.attempt_id,
        sid=sid,
        trace_id=trace_id,
    )


def _log_result(result: PlaceResult) -> None:
    match result:
        case PlacedCall():
            log.debug("placed")
        case RefusedCall(code=code, message=message):
            log.info("refused with code %d: %s", code, message)
        case UnsentCall(reason=reason):
            log.info("not sent: %s", reason)
        case UnansweredCall(reason=reason):
            log.warning("it is unknown whether there is a call: %s", reason)


def fact_of(attempt: ClaimedAttempt, result: PlaceResult) -> Fact:
    """The fact to record for this result of the POST; see docs/protocol.md, section 1."""
    match result:
        case PlacedCall(sid=sid):
            return _fact(attempt, AttemptState.PLACED, sid=sid)
        case UnsentCall(reason=reason):
            return _fact(attempt, AttemptState.NOT_SENT, reason=reason)
        case UnansweredCall(reason=reason):
            return _fact(attempt, AttemptState.UNKNOWN, reason=reason)
        case RefusedCall(code=code, message=message):
            if result.action is not Action.LEAD:
                # No call was made, and the lead is not at fault: the lead goes back to the front of the queue.
                return _fact(attempt, AttemptState.NOT_SENT, reason=message, error_code=code)
            return _fact(attempt, AttemptState.OVER, reason=message, error_code=code, outcome=Outcome.REFUSED)


def _fact(
    attempt: ClaimedAttempt,
    state: AttemptState,
    *,
    sid: str | None = None,
    reason: str | None = None,
    error_code: int | None = None,
    outcome: str | None = None,
) -> Fact:
    return Fact(
        attempt.business_id,
        attempt.attempt_id,
        attempt.nonce,
        state,
        token=str(attempt.token),
        sid=sid,
        outcome=outcome,
        error_code=error_code,
        reason=reason,
    )
