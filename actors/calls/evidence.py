"""The evidence it takes to declare a call absent, or lost: two checks, far enough apart by two clocks.

The database's clock dates each check; the worker's boot clock proves that the time between two checks has really passed. Either alone could
be wrong: the database's can jump, and the boot clocks of two machines cannot be compared. So the first check counts only for the
incarnation that made it, and only if it was made after the database's clock became trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.policy.checks import EXPIRY_SECONDS

if TYPE_CHECKING:
    from actors.services import CallPolicy
    from sql.attempts.attempts import OpenAttempt

# The two clocks, and the moments at which they are read, are not exact.
CLOCK_TOLERANCE_SECONDS = 1.0
# The keys under which the evidence is kept.
MISSING, MISSING_LATE, FIRST, SECOND, CONFUSED = "missing", "missing_late", "first", "second", "confused"


@dataclass(frozen=True, slots=True)
class Moment:
    """When a worker made a check: `at` by the database's clock (epoch seconds), `boot` by its own; valid from `trusted_from` (boot) on."""

    at: float
    boot: float
    by: str
    trusted_from: float

    def mark(self) -> dict[str, Any]:
        """The part that is stored with the attempt."""
        return {"at": self.at, "boot": self.boot, "by": self.by}

    def follows(self, first: object, seconds: float) -> bool:
        """True when an earlier check, stored by `mark`, was this worker's, and is by both clocks at least so many seconds ago."""
        if not isinstance(first, dict) or first.get("by") != self.by or first["boot"] < self.trusted_from:
            return False
        by_database, by_boot = self.at - float(first["at"]), self.boot - float(first["boot"])
        return by_database > 0 and min(by_database, by_boot) >= seconds


def not_listed(attempt: OpenAttempt, now: Moment, policy: CallPolicy) -> tuple[bool, dict[str, Any]]:
    """A complete list lacks the call: return whether that proves it absent (protocol, section 4), and the evidence so far."""
    evidence = dict(attempt.evidence or {})
    sent_by = attempt.send_by.timestamp()
    if evidence.get(CONFUSED):
        # The provider named another attempt's call for it: only a callback or a person can decide.
        return False, evidence
    # It cannot have been sent between the two lists: the first was after its expiry, and the second after the provider's lag.
    apart = max(policy.lag_seconds - EXPIRY_SECONDS - CLOCK_TOLERANCE_SECONDS, 0.0)
    if now.at > sent_by + policy.lag_seconds and now.follows(evidence.get(FIRST), apart):
        return True, {**evidence, SECOND: now.at}
    if now.at > sent_by + EXPIRY_SECONDS and now.boot >= now.trusted_from and not now.follows(evidence.get(FIRST), 0.0):
        evidence[FIRST] = now.mark()
    return False, evidence


def no_such_call(attempt: OpenAttempt, now: Moment, policy: CallPolicy) -> tuple[bool, dict[str, Any]]:
    """The account that placed the call does not have it: return whether that proves it lost, and the evidence so far.

    A call ends by the ring time-out and the time limit it was placed with, and the provider shows its end within its lag. A call that is
    missing after that, and again a lag later, is over; its outcome will never be known.
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
    """The provider shows the call: return the evidence without its having been missing; None when it never was."""
    if not attempt.evidence or MISSING not in attempt.evidence:
        return None
    return {name: value for name, value in attempt.evidence.items() if name not in {MISSING, MISSING_LATE}}
