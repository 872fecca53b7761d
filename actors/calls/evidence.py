"""What has to be seen before a call is declared absent, or lost: two looks, far enough apart by two clocks.

The database's clock says when a look was; the worker's own boot clock says that the time between two looks has really passed. Alone, either
could be wrong: the database's can jump, and boot clocks of two machines cannot be compared. So the first of two looks counts only for
the incarnation that made it, and only since the database's clock is trusted.

On the road of a call: 4, when nobody knows what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.services import CallPolicy
    from sql.attempts.attempts import OpenAttempt

# After send_by its worker has had this long to say what became of it, and nothing of it is on its way any more.
EXPIRY_SECONDS = 2.0
# The two clocks, and the moments at which they are read, are not exact.
CLOCK_TOLERANCE_SECONDS = 1.0
# A call that the provider shows again is not missing any more.
MISSING, MISSING_LATE, FIRST, SECOND, CONFUSED = "missing", "missing_late", "first", "second", "confused"


@dataclass(frozen=True, slots=True)
class Moment:
    """When a worker looks: `at` by the database's clock (epoch seconds), `boot` by its own, which counts from `trusted_from` on."""

    at: float
    boot: float
    by: str
    trusted_from: float

    def mark(self) -> dict[str, Any]:
        """What is kept of it."""
        return {"at": self.at, "boot": self.boot, "by": self.by}

    def follows(self, first: object, seconds: float) -> bool:
        """True when an earlier look, as `mark` kept it, was this worker's, and by both clocks at least so many seconds ago."""
        if not isinstance(first, dict) or first.get("by") != self.by or first["boot"] < self.trusted_from:
            return False
        passed, really = self.at - float(first["at"]), self.boot - float(first["boot"])
        return passed > 0 and min(passed, really) >= seconds


def not_listed(attempt: OpenAttempt, now: Moment, rules: CallPolicy) -> tuple[bool, dict[str, Any]]:
    """A complete list does not show the call: say whether that proves it absent (protocol, section 4), and the evidence so far."""
    evidence = dict(attempt.evidence or {})
    sent_by = attempt.send_by.timestamp()
    if evidence.get(CONFUSED):
        # The provider named another attempt's call for it: only a callback or a person can tell.
        return False, evidence
    # Nobody can have sent it between the two lists: the first was later than that, and the second later than the provider's lag.
    apart = max(rules.lag_seconds - EXPIRY_SECONDS - CLOCK_TOLERANCE_SECONDS, 0.0)
    if now.at > sent_by + rules.lag_seconds and now.follows(evidence.get(FIRST), apart):
        return True, {**evidence, SECOND: now.at}
    if now.at > sent_by + EXPIRY_SECONDS and now.boot >= now.trusted_from and not now.follows(evidence.get(FIRST), 0.0):
        evidence[FIRST] = now.mark()
    return False, evidence


def no_such_call(attempt: OpenAttempt, now: Moment, rules: CallPolicy) -> tuple[bool, dict[str, Any]]:
    """The account that placed the call knows it not: say whether that proves it lost, and the evidence so far.

    A call ends by itself: by the ring time-out and the time limit it was placed with, and after that the provider shows what it knows
    within its lag. Unknown then, and unknown again a lag later, it is over, and nobody will ever say how.
    """
    evidence = {MISSING: now.at, **(attempt.evidence or {})}
    longest = rules.ring_seconds + rules.limit_seconds + rules.lag_seconds
    if now.at <= attempt.send_by.timestamp() + longest:
        return False, evidence
    if now.follows(evidence.get(MISSING_LATE), rules.lag_seconds):
        return True, evidence
    if now.boot >= now.trusted_from and not now.follows(evidence.get(MISSING_LATE), 0.0):
        evidence[MISSING_LATE] = now.mark()
    return False, evidence


def shown_again(attempt: OpenAttempt) -> dict[str, Any] | None:
    """The evidence without that the call was missing; None when it never was."""
    if not attempt.evidence or MISSING not in attempt.evidence:
        return None
    return {name: value for name, value in attempt.evidence.items() if name not in {MISSING, MISSING_LATE}}
