"""The evidence needed to declare a call absent or lost: two checks, far enough apart by two clocks.

The database's clock gives the time of each check; the worker's boot clock proves that the time between two checks has really passed. Either
clock alone could mislead: the database's clock can jump, and the boot clocks of two machines cannot be compared. So a first check counts
only for the incarnation that made it, and only if the database's clock was already trusted then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.policy.checks import EXPIRY_SECONDS

if TYPE_CHECKING:
    from actors.services import CallPolicy
    from sql.attempts.attempts import OpenAttempt

# Neither clock is exact, and the two are not read at exactly the same moment.
CLOCK_TOLERANCE_SECONDS = 1.0
# The keys of the stored evidence.
MISSING, MISSING_LATE, FIRST, SECOND, CONFUSED = "missing", "missing_late", "first", "second", "confused"


@dataclass(frozen=True, slots=True)
class Moment:
    """When a worker made a check: `at` by the database's clock (epoch seconds), `boot` by the worker's boot clock.

    `by` is the worker's incarnation. A check made before `trusted_from` (boot clock) does not count.
    """

    at: float
    boot: float
    by: str
    trusted_from: float

    def mark(self) -> dict[str, Any]:
        """The fields that are stored with the attempt."""
        return {"at": self.at, "boot": self.boot, "by": self.by}

    def follows(self, first: object, seconds: float) -> bool:
        """True when `first`, a stored `mark`, is a trusted check by this incarnation, at least `seconds` earlier by both clocks."""
        if not isinstance(first, dict) or first.get("by") != self.by or first["boot"] < self.trusted_from:
            return False
        by_database, by_boot = self.at - float(first["at"]), self.boot - float(first["boot"])
        return by_database > 0 and min(by_database, by_boot) >= seconds


def not_listed(attempt: OpenAttempt, now: Moment, policy: CallPolicy) -> tuple[bool, dict[str, Any]]:
    """Judge a complete list without the call: return whether the call is proven absent (protocol, section 4), and the evidence so far."""
    evidence = dict(attempt.evidence or {})
    sent_by = attempt.send_by.timestamp()
    if evidence.get(CONFUSED):
        # The response to its POST named another attempt's call: only a callback or a person can decide.
        return False, evidence
    # The call cannot have been sent between the two lists: the first was requested after the attempt expired, the second after the lag.
    apart = max(policy.lag_seconds - EXPIRY_SECONDS - CLOCK_TOLERANCE_SECONDS, 0.0)
    if now.at > sent_by + policy.lag_seconds and now.follows(evidence.get(FIRST), apart):
        return True, {**evidence, SECOND: now.at}
    if now.at > sent_by + EXPIRY_SECONDS and now.boot >= now.trusted_from and not now.follows(evidence.get(FIRST), 0.0):
        evidence[FIRST] = now.mark()
    return False, evidence


def no_such_call(attempt: OpenAttempt, now: Moment, policy: CallPolicy) -> tuple[bool, dict[str, Any]]:
    """Judge a response that the account does not have its call: return whether the call is proven lost, and the evidence so far.

    The account is the one that placed the call. The ring time-out and the time limit of a call bound its length, and the provider shows its
    end within the lag. A call that is missing after that, and again one lag later, is over; its outcome can never be known.
    """
    evidence = {MISSING: now.at, **(attempt.evidence or {})}
    longest = policy.ring_seconds + policy.limit_seconds + policy.lag_seconds
    if now.at <= attempt.send_by.timestamp() + longest:
        return False, evidence
    if now.follows(evidence.get(MISSING_LATE), policy.lag_seconds):
        return True, evidence
    if now.boot >= now.trusted_from and not now.follows(evidence.get(MISSING_LATE), 0.0):
        evidence[MISSING_LATE] = now.mark()
    return False, evidence


def shown_again(attempt: OpenAttempt) -> dict[str, Any] | None:
    """The evidence once the provider shows the call again: without the keys of a missing call; None when it was never missing."""
    if not attempt.evidence or MISSING not in attempt.evidence:
        return None
    return {name: value for name, value in attempt.evidence.items() if name not in {MISSING, MISSING_LATE}}
