"""The messages to a business, and the effects it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.dispatch.dispatcher import ClaimResult
from dialer.messages import CallChanged, RunChanged

if TYPE_CHECKING:
    from datetime import datetime

    from sql.attempts.attempts import ClaimedAttempt, OpenAttempt


@dataclass(frozen=True, slots=True)
class Wake:
    """There may be leads to claim: a poll found a running run, or a put-off lead is due."""


@dataclass(frozen=True, slots=True)
class RestOver:
    """The rest of a business that was busy or parked is over."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call of this business that is recorded as open; perhaps no coroutine of this worker follows it yet."""

    attempt: OpenAttempt


@dataclass(frozen=True, slots=True)
class CallOver:
    """The coroutine of this attempt has ended."""

    attempt_id: int
    run_id: int


Message = Wake | RestOver | ClaimResult | OpenCall | CallOver | CallChanged | RunChanged


@dataclass(frozen=True, slots=True)
class RequestPermits:
    """Queue at the dispatcher of the account for at most `permits` leads."""

    permits: int


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """Start a coroutine that places this call before `deadline` (boot clock, seconds) and follows it."""

    attempt: ClaimedAttempt
    deadline: float


@dataclass(frozen=True, slots=True)
class FollowCall:
    """Start a coroutine that follows a call placed before."""

    attempt: OpenAttempt


@dataclass(frozen=True, slots=True)
class NotifyCall:
    """Pass a hint to the coroutine of an attempt."""

    attempt_id: int
    hint: CallChanged


@dataclass(frozen=True, slots=True)
class CancelUnsent:
    """Do not send this attempt's POST unless it has been started."""

    attempt_id: int


@dataclass(frozen=True, slots=True)
class FindOrphanedCalls:
    """Compare the calls of this business with the provider's; until then none of its leads is claimed."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Send `RestOver` after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `Wake` at `due_at`, by the database's clock."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class PublishProgress:
    """This run has changed: publish its progress."""

    run_id: int


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing is left to do: drop this business until it has something to do again."""


Effect = RequestPermits | PlaceCall | FollowCall | NotifyCall | CancelUnsent | FindOrphanedCalls | Rest | WakeAt | PublishProgress | Release
