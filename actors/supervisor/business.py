"""The decisions of one business: a plain object without I/O that gets one message at a time and returns the effects to carry out.

`router.py` brings the messages, `effects.py` carries out the effects. It exists while the business has a running run or a call that may be
on the line; an idle business costs nothing.

On the road of a call: 2, the decision: it asks for permits, and starts a call for each lead that was claimed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.dispatch.dispatcher import ClaimResult
from actors.supervisor.messages import (
    CallOver,
    CancelUnsent,
    FindOrphanedCalls,
    FollowCall,
    NotifyCall,
    OpenCall,
    PlaceCall,
    PublishProgress,
    Release,
    RequestPermits,
    Rest,
    RestOver,
    Wake,
    WakeAt,
)
from dialer.messages import CallChanged, CommandType, RunChanged
from dialer.model import AttemptState
from sql.attempts.verdicts import VerdictCode

if TYPE_CHECKING:
    from actors.supervisor.messages import Effect, Message
    from sql.attempts.attempts import OpenAttempt, Verdict

# Its lane or one of its runs was locked. Most locks last milliseconds; while one lasts longer, claim less and less often.
BUSY_SECONDS = 0.005
LONGEST_BUSY_SECONDS = 0.5
# After an error that concerns this business alone it rests, so that its neighbours do not pay for it.
PARKED_SECONDS = 30.0
# Verdicts about how the lane was at the time of the claim; what happened since may have changed that.
LANE_VERDICTS = frozenset(
    {VerdictCode.FULL, VerdictCode.EMPTY, VerdictCode.PUT_OFF, VerdictCode.GATE, VerdictCode.AGAIN, VerdictCode.NOT_OWNER}
)


class Business:
    """What its worker knows of one business: its calls, and whether it waits for a claim."""

    def __init__(self, business_id: int, max_calls: int) -> None:
        """`max_calls` limits how many permits it asks for; how many leads may be claimed, the lane in PostgreSQL decides."""
        self.business_id = business_id
        self.max_calls = max_calls
        # The run of each open attempt.
        self.calls: dict[int, int] = {}
        self.claim_pending = False
        self.claim_again = False
        # While it rests it asks for nothing, whatever happens: it asks when the rest is over.
        self.resting = False
        self.busy_seconds = BUSY_SECONDS

    def handle(self, message: Message) -> list[Effect]:  # noqa: PLR0911 - one message, one branch
        """Change the state, and return what is to be done."""
        match message:
            case Wake():
                # Ask once more even if a claim is pending: the lane decides, so a lost answer costs no more than this.
                self.claim_pending = False
                return self._request_permits()
            case RestOver():
                self.resting = False
                return self._request_permits()
            case ClaimResult():
                return self._claimed(message)
            case OpenCall(attempt=attempt):
                return self._adopt(attempt)
            case CallChanged():
                return self._call_changed(message)
            case CallOver(attempt_id=attempt_id, run_id=run_id):
                self.calls.pop(attempt_id, None)
                return [PublishProgress(run_id), *self._request_permits()]
            case RunChanged():
                return self._run_changed(message)

    def _request_permits(self) -> list[Effect]:
        if self.resting:
            return []
        if self.claim_pending:
            # A slot became free, or work came in, during a claim, whose answer may not include it.
            self.claim_again = True
            return []
        wanted = self.max_calls - len(self.calls)
        if wanted <= 0:
            return []
        self.claim_pending = True
        return [RequestPermits(wanted)]

    def _claimed(self, result: ClaimResult) -> list[Effect]:
        self.claim_pending = False
        claim_again, self.claim_again = self.claim_again, False
        if result.verdict.code is not VerdictCode.BUSY:
            self.busy_seconds = BUSY_SECONDS
        for attempt in result.attempts:
            self.calls[attempt.attempt_id] = attempt.run_id
        effects: list[Effect] = [PlaceCall(attempt, result.deadline) for attempt in result.attempts]
        effects += [PublishProgress(run_id) for run_id in {attempt.run_id for attempt in result.attempts}]
        if claim_again and result.verdict.code in LANE_VERDICTS:
            return effects + self._request_permits()
        return effects + self._after(result.verdict)

    def _after(self, verdict: Verdict) -> list[Effect]:
        match verdict.code:
            case VerdictCode.GATE | VerdictCode.AGAIN:
                return self._request_permits()
            case VerdictCode.BUSY | VerdictCode.PARKED as code:
                return self._rest(code)
            case VerdictCode.PUT_OFF if verdict.put_off_until:
                return [WakeAt(verdict.put_off_until)]
            case VerdictCode.UNLISTED:
                return [FindOrphanedCalls()]
            case VerdictCode.NOT_OWNER | VerdictCode.EMPTY | VerdictCode.STOPPED | VerdictCode.REGISTER_TOO_OLD if not self.calls:
                return [Release()]
            case _:
                # Full, or nothing to claim now: the next end of a call, or command, comes with a message.
                return []

    def _rest(self, code: VerdictCode) -> list[Effect]:
        """Ask again after a pause, which doubles each time the same lock is met."""
        self.resting = True
        if code is VerdictCode.PARKED:
            return [Rest(PARKED_SECONDS)]
        seconds, self.busy_seconds = self.busy_seconds, min(2 * self.busy_seconds, LONGEST_BUSY_SECONDS)
        return [Rest(seconds)]

    def _adopt(self, attempt: OpenAttempt) -> list[Effect]:
        if attempt.attempt_id in self.calls:
            # The hint to hang up may have been lost; the record has it.
            return [self._hang_up(attempt.attempt_id, attempt.run_id, attempt.job_id)] if attempt.hang_up and not attempt.check_in else []
        self.calls[attempt.attempt_id] = attempt.run_id
        return [FollowCall(attempt), PublishProgress(attempt.run_id)]

    def _call_changed(self, hint: CallChanged) -> list[Effect]:
        effects: list[Effect] = [NotifyCall(hint.attempt_id, hint), PublishProgress(hint.run_id)]
        if AttemptState(hint.state).open:
            return effects
        # The slot in PostgreSQL is free already: no need to wait for the coroutine to end.
        self.calls.pop(hint.attempt_id, None)
        return effects + self._request_permits()

    def _run_changed(self, hint: RunChanged) -> list[Effect]:
        effects: list[Effect] = [PublishProgress(hint.run_id)]
        attempts = [attempt_id for attempt_id, run_id in self.calls.items() if run_id == hint.run_id]
        if hint.command in {CommandType.START, CommandType.RESUME}:
            return effects + self._request_permits()
        if hint.command in {CommandType.CANCEL, CommandType.STOP}:
            effects += [CancelUnsent(attempt_id) for attempt_id in attempts]
        if hint.hang_up:
            effects += [self._hang_up(attempt_id, hint.run_id, hint.job_id or 0) for attempt_id in attempts]
        return effects + self._request_permits()

    def _hang_up(self, attempt_id: int, run_id: int, job_id: int) -> NotifyCall:
        return NotifyCall(attempt_id, CallChanged(self.business_id, run_id, job_id, attempt_id, AttemptState.PLACED, hang_up=True))
