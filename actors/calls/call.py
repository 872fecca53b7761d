"""One call: place it, follow it, finish. What becomes known goes to the ledger first, then to the business.

A call that was placed by another worker, or by this one before it died, begins at follow.

On the road of a call: 5, the POST; and after 7, where the hint of a callback arrives.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from actors.calls.reconciler import AFTER_HANG_UP_SECONDS, pause_before_check, reconcile, record
from dialer.model import AttemptState, Outcome, Reference
from sql.attempts.attempts import ClaimedAttempt, Fact
from telephony.provider import CallRequest, PlacedCall, RefusedCall, UnansweredCall, UnsentCall
from telephony.refusals import CALLBACK_WAITS, Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.calls.reconciler import SlowDown
    from actors.services import Services
    from dialer.messages import CallChanged
    from sql.attempts.attempts import OpenAttempt, RecordResult
    from telephony.provider import Account, PlaceResult

# A worker's deadline is reckoned from before its claim was sent, the row's send_by by the database's clock after that: the worker's
# always ends first, and no two machines' clocks are compared (protocol, section 2).
SEND_SECONDS = 5.0
# Why an attempt was not sent when nothing was wrong: its run was cancelled, or its worker left, before it began.
WITHDRAWN = "withdrawn"
# Its business has changed its account since this worker read it; it is read again soon, and the gate is shut until then.
NO_CREDENTIALS = "the credentials of the account are not known"

# A call that met too many others at once frees its line within seconds; its lead waits as long in the queue.
TOO_MANY_CALLS_SECONDS = 5.0

log = logging.getLogger(__name__)


class Silence(Enum):
    """Nothing was heard for as long as somebody waited."""

    SILENCE = "silence"


SILENCE = Silence.SILENCE


class Call:
    """The coroutine of one attempt, and the mailbox through which its business speaks to it."""

    def __init__(
        self, services: Services, name: ClaimedAttempt | OpenAttempt, answered: Callable[[PlaceResult], None], slow_down: SlowDown
    ) -> None:
        """`answered` hears what the provider said to the POST, and `slow_down` that it queues what we send: the gate's business."""
        self._services = services
        self._answered = answered
        self._slow_down = slow_down
        self._mail: deque[CallChanged | None] = deque()
        self._rung = asyncio.Event()
        self._shown_at = float("-inf")
        self.name = name
        self.placing = isinstance(name, ClaimedAttempt)
        self.withdrawn = False

    async def make(self, intent: ClaimedAttempt, deadline: float) -> None:
        """Place the call of a fresh intent before `deadline` (boot clock, seconds), and follow it to its end."""
        try:
            result = await self._place(intent, deadline)
        finally:
            self.placing = False
        if result.state and result.state.open:
            await self.follow(AFTER_HANG_UP_SECONDS if result.hang_up else pause_before_check(self._services.policy, result.state, 0))

    async def follow(self, check_in: float) -> None:
        """Wait for the end of a call that may exist; ask the provider when nobody has said or shown anything for `check_in` seconds."""
        pause: float | None = check_in
        wait = check_in
        while pause is not None:
            hint = await self._next_hint(wait)
            wait = self._shown_at + pause - self._services.clock.boot()
            if hint is SILENCE and wait > 0:
                continue
            if hint is SILENCE or hint is None or hint.hang_up:
                pause = await reconcile(self._services, self.name, self._slow_down)
            elif AttemptState(hint.state).open:
                pause = pause_before_check(self._services.policy, AttemptState(hint.state), 0)
            else:
                if hint.error_code in CALLBACK_WAITS:
                    self._slow_down("the account has as many calls at once as it may have", TOO_MANY_CALLS_SECONDS)
                return
            wait = pause or 0.0

    def notify(self, hint: CallChanged) -> None:
        """Something has become known of this call, and is written already."""
        self._mail.append(hint)
        self._rung.set()

    def check_now(self) -> None:
        """Ask the provider at once: what has become of this call may not be known here."""
        if None not in self._mail:
            self._mail.append(None)
        self._rung.set()

    def shown(self) -> None:
        """The provider lists this call as it is known here: nobody needs to ask for it."""
        self._shown_at = self._services.clock.boot()

    async def _place(self, intent: ClaimedAttempt, deadline: float) -> RecordResult:
        account = self._services.accounts.of(intent.business_id, intent.account_sid)
        if account is None:
            result: PlaceResult = UnsentCall(NO_CREDENTIALS)
            self._answered(result)
            return await self._services.facts.record(fact_of(intent, result))
        result = UnsentCall(WITHDRAWN) if self.withdrawn else await self._post(account, intent, deadline)
        self._answered(result)
        return await record(self._services, account, fact_of(intent, result))

    async def _post(self, account: Account, intent: ClaimedAttempt, deadline: float) -> PlaceResult:
        try:
            return await self._services.provider.place(account, self._request(intent), deadline=deadline)
        except Exception:
            # A provider never raises; should one, nobody knows what it has sent.
            log.exception("attempt %d: the provider failed", intent.attempt_id)
            return UnansweredCall("error")

    def _request(self, intent: ClaimedAttempt) -> CallRequest:
        rules = self._services.policy
        reference = Reference(intent.business_id, intent.attempt_id, intent.nonce)
        return CallRequest(
            to=intent.phone,
            from_=intent.from_number,
            url=f"{rules.public_url}/twiml/{reference}",
            # The fragment asks Twilio to deliver again when we do not answer; it is not sent and not signed.
            status_callback=f"{rules.public_url}/callbacks/{reference}#rc=5&rp=all",
            ring_timeout_seconds=rules.ring_seconds,
            time_limit_seconds=rules.limit_seconds,
            machine_detection=intent.machine_detection,
            record=intent.record,
        )

    async def _next_hint(self, seconds: float) -> CallChanged | Silence | None:
        try:
            async with asyncio.timeout(seconds):
                while not self._mail:
                    self._rung.clear()
                    await self._rung.wait()
        except TimeoutError:
            return SILENCE
        return self._mail.popleft()


def fact_of(intent: ClaimedAttempt, result: PlaceResult) -> Fact:
    """What the answer to the POST says about the attempt; docs/protocol.md, section 1."""
    match result:
        case PlacedCall(sid=sid):
            return _fact(intent, AttemptState.PLACED, sid=sid)
        case UnsentCall(reason=reason):
            return _fact(intent, AttemptState.NOT_SENT, reason=reason)
        case UnansweredCall(reason=reason):
            return _fact(intent, AttemptState.UNKNOWN, reason=reason)
        case RefusedCall(code=code, message=message):
            if result.action is not Action.LEAD:
                # Nothing was called, and it is not this lead's fault: it goes back to the front.
                return _fact(intent, AttemptState.NOT_SENT, reason=message, error_code=code)
            return _fact(intent, AttemptState.OVER, reason=message, error_code=code, outcome=Outcome.REFUSED)


def _fact(
    intent: ClaimedAttempt,
    state: AttemptState,
    *,
    sid: str | None = None,
    reason: str | None = None,
    error_code: int | None = None,
    outcome: str | None = None,
) -> Fact:
    token = str(intent.token)
    return Fact(
        intent.business_id,
        intent.attempt_id,
        intent.nonce,
        state,
        token=token,
        sid=sid,
        outcome=outcome,
        error_code=error_code,
        reason=reason,
    )
