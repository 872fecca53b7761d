"""The supervisor of one business: a plain object that decides and never waits.

It hears one message at a time and answers with what is to be done; the partition does it. It exists while the business has a running
run or a call that may be on the line; an idle business costs nothing.

On the road of a call: 2, the decision: it asks for permits, and starts a call for each lead that was claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.dispatch.dispatcher import ClaimResult
from dialer.messages import CallChanged, CommandType, RunChanged
from dialer.model import AttemptState

if TYPE_CHECKING:
    from datetime import datetime

    from sql.attempts.attempts import ClaimedAttempt, OpenAttempt, Verdict

# Its lane or one of its runs was locked by somebody else. Such locks are held for milliseconds; one that is not is asked for less and less.
BUSY_SECONDS = 0.005
LONGEST_BUSY_SECONDS = 0.5
# After an error that is this business's alone it rests, so that its neighbours do not pay for it.
PARKED_SECONDS = 30.0
# Verdicts that say how the lane stood; what happened to it since may have changed them.
ANSWERED = frozenset({"full", "empty", "put_off", "gate", "again", "not_owner"})


@dataclass(frozen=True, slots=True)
class Wake:
    """There may be leads to take: a poll found work, or a time has come."""


@dataclass(frozen=True, slots=True)
class RestOver:
    """The rest of a business that was busy or parked is over."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call of this business that the log holds open; perhaps nobody here follows it yet."""

    attempt: OpenAttempt


@dataclass(frozen=True, slots=True)
class CallOver:
    """The coroutine of this attempt has ended."""

    attempt_id: int
    run_id: int


Message = Wake | RestOver | ClaimResult | OpenCall | CallOver | CallChanged | RunChanged


@dataclass(frozen=True, slots=True)
class RequestPermits:
    """Queue at the account's gate for at most `permits` leads."""

    permits: int


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """Spawn the coroutine that places this call and follows it."""

    intent: ClaimedAttempt
    deadline: float


@dataclass(frozen=True, slots=True)
class FollowCall:
    """Spawn the coroutine that follows a call placed before."""

    attempt: OpenAttempt


@dataclass(frozen=True, slots=True)
class NotifyCall:
    """Hand a hint to the coroutine of an attempt."""

    attempt_id: int
    hint: CallChanged


@dataclass(frozen=True, slots=True)
class CancelUnsent:
    """Do not send this one if it has not begun."""

    attempt_id: int


@dataclass(frozen=True, slots=True)
class FindOrphanedCalls:
    """Compare the calls of this business with the provider's; until then none of its leads is taken."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Say Rested after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Say LookAgain at this time of the database's clock."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class PublishProgress:
    """The screens of this run are out of date."""

    run_id: int


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing is left to do: forget this business until it has something again."""


Effect = RequestPermits | PlaceCall | FollowCall | NotifyCall | CancelUnsent | FindOrphanedCalls | Rest | WakeAt | PublishProgress | Release


class Business:
    """What its worker knows of one business: the calls it drives, and whether it stands at the gate."""

    def __init__(self, business_id: int, max_calls: int) -> None:
        """`max_calls` says how many permits are worth asking for; what may be taken, the lane alone decides."""
        self.business_id = business_id
        self.max_calls = max_calls
        self.calls: dict[int, int] = {}
        self.asking = False
        self.missed = False
        # While it rests it asks for nothing, whatever happens: the end of the rest asks.
        self.resting = False
        self.busy_seconds = BUSY_SECONDS

    def handle(self, message: Message) -> list[Effect]:  # noqa: PLR0911 - one message, one branch
        """Change the state, and say what is to be done. One message, one branch."""
        match message:
            case Wake():
                # Asked for once more even if it stands at the gate: the lane decides, and an answer that got lost costs no more than this.
                self.asking = False
                return self._ask()
            case RestOver():
                self.resting = False
                return self._ask()
            case ClaimResult():
                return self._claimed(message)
            case OpenCall(attempt=attempt):
                return self._adopt(attempt)
            case CallChanged():
                return self._call_changed(message)
            case CallOver(attempt_id=attempt_id, run_id=run_id):
                self.calls.pop(attempt_id, None)
                return [PublishProgress(run_id), *self._ask()]
            case RunChanged():
                return self._run_changed(message)

    def _ask(self) -> list[Effect]:
        if self.resting:
            return []
        if self.asking:
            # A slot came free, or work came, while a claim was under way: its answer may know nothing of it.
            self.missed = True
            return []
        wanted = self.max_calls - len(self.calls)
        if wanted <= 0:
            return []
        self.asking = True
        return [RequestPermits(wanted)]

    def _claimed(self, message: ClaimResult) -> list[Effect]:
        self.asking = False
        missed, self.missed = self.missed, False
        if message.verdict.code != "busy":
            self.busy_seconds = BUSY_SECONDS
        for intent in message.intents:
            self.calls[intent.attempt_id] = intent.run_id
        effects: list[Effect] = [PlaceCall(intent, message.deadline) for intent in message.intents]
        effects += [PublishProgress(run_id) for run_id in {intent.run_id for intent in message.intents}]
        return effects + (self._ask() if missed and message.verdict.code in ANSWERED else self._after(message.verdict))

    def _rest(self, code: str) -> list[Effect]:
        """Be asked again after a pause; each one that finds the same lock is twice as long."""
        self.resting = True
        if code == "parked":
            return [Rest(PARKED_SECONDS)]
        seconds, self.busy_seconds = self.busy_seconds, min(2 * self.busy_seconds, LONGEST_BUSY_SECONDS)
        return [Rest(seconds)]

    def _after(self, verdict: Verdict) -> list[Effect]:
        match verdict.code:
            case "gate" | "again":
                return self._ask()
            case "busy" | "parked" as code:
                return self._rest(code)
            case "put_off" if verdict.put_off_until:
                return [WakeAt(verdict.put_off_until)]
            case "unlisted":
                return [FindOrphanedCalls()]
            case "not_owner" | "empty" if not self.calls:
                return [Release()]
            case _:
                # full, or nothing to take now: the next settle or command comes with a message.
                return []

    def _adopt(self, attempt: OpenAttempt) -> list[Effect]:
        if attempt.attempt_id in self.calls:
            # The hint to hang up may have been lost; the log has kept it.
            return [self._hang_up(attempt.attempt_id, attempt.run_id, attempt.job_id)] if attempt.hang_up and not attempt.check_in else []
        self.calls[attempt.attempt_id] = attempt.run_id
        return [FollowCall(attempt), PublishProgress(attempt.run_id)]

    def _call_changed(self, hint: CallChanged) -> list[Effect]:
        effects: list[Effect] = [NotifyCall(hint.attempt_id, hint), PublishProgress(hint.run_id)]
        if AttemptState(hint.state).open:
            return effects
        # The slot is free already, in PostgreSQL: no need to wait until the coroutine has heard of it.
        self.calls.pop(hint.attempt_id, None)
        return effects + self._ask()

    def _run_changed(self, hint: RunChanged) -> list[Effect]:
        effects: list[Effect] = [PublishProgress(hint.run_id)]
        if hint.command in {CommandType.START, CommandType.RESUME}:
            return effects + self._ask()
        if hint.command in {CommandType.CANCEL, CommandType.STOP}:
            effects += [CancelUnsent(attempt_id) for attempt_id, run_id in self.calls.items() if run_id == hint.run_id]
        if hint.hang_up:
            effects += [
                self._hang_up(attempt_id, run_id, hint.job_id or 0) for attempt_id, run_id in self.calls.items() if run_id == hint.run_id
            ]
        return effects + self._ask()

    def _hang_up(self, attempt_id: int, run_id: int, job_id: int) -> NotifyCall:
        return NotifyCall(attempt_id, CallChanged(self.business_id, run_id, job_id, attempt_id, AttemptState.PLACED, hang_up=True))
