"""When a call that nobody reports is checked: how long an attempt may be in each state before we ask the provider.

`sql/attempts/record_v1.sql` sets the first check of each state by the same numbers, so that whoever adopts the call knows when it is due.
"""

from __future__ import annotations

from typing import Final

from dialer.model import AttemptState

# A worker must send the POST within this long of the claim. It counts from before the claim was sent, while the row's send_by counts from
# the claim by the database's clock: the worker's deadline always comes first, and the clocks of two machines are never compared (protocol,
# section 2).
SEND_SECONDS: Final = 5.0
# This long after send_by, the worker of an attempt has recorded the result of the POST, and the POST is no longer in flight.
EXPIRY_SECONDS: Final = 2.0

# An unknown call is checked often at first, then less: usually a callback reports it sooner.
UNKNOWN_CHECK_SECONDS: Final = (2.0, 3.0, 5.0, 10.0, 20.0)
# Beside these checks, all live calls of an account are listed together every few seconds (actors/calls/live_calls.py).
PLACED_CHECK_SECONDS: Final = 15.0
LIVE_CHECK_SECONDS: Final = 60.0
RING_GRACE_SECONDS: Final = 10.0
# A call that is still in the provider's queue after this is cancelled there, or it would ring tomorrow.
QUEUED_SECONDS: Final = 60.0
OVERDUE_GRACE_SECONDS: Final = 15.0


def pause_before_check(state: AttemptState, checks: int, ring_seconds: float) -> float:
    """How many seconds a call in this state may go unreported before the provider is asked, after `checks` earlier checks."""
    match state:
        case AttemptState.UNKNOWN:
            return UNKNOWN_CHECK_SECONDS[min(checks, len(UNKNOWN_CHECK_SECONDS) - 1)]
        case AttemptState.RINGING:
            return ring_seconds + RING_GRACE_SECONDS
        case AttemptState.LIVE:
            return LIVE_CHECK_SECONDS
        case _:
            return PLACED_CHECK_SECONDS


def longest_seconds(state: AttemptState, ring_seconds: float, limit_seconds: float) -> float:
    """The longest a healthy call can be in this state, counted from its claim: in the provider's queue, ringing, and talking."""
    ringing = QUEUED_SECONDS + ring_seconds + OVERDUE_GRACE_SECONDS
    return ringing + limit_seconds if state is AttemptState.LIVE else ringing
