"""Watches how long calls wait in the provider's queue: if they wait, the pace of their account is higher than the provider allows.

A call that waits there is placed later than we decided, perhaps outside calling hours.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dialer.clock import Clock
    from telephony.provider import Account, CallFacts

# Within the pace of an account, Twilio dials a call in a fraction of a second.
LONG_SECONDS = 5.0
# While calls wait, warn this often.
REPEAT_SECONDS = 600.0

log = logging.getLogger(__name__)


class QueueWatch:
    """Warns about accounts whose calls wait, about each at most once in ten minutes."""

    def __init__(self, clock: Clock) -> None:
        """Use the boot clock of `clock`."""
        self._clock = clock
        self._warned_at: dict[str, float] = {}

    def note(self, account: Account, calls: Iterable[CallFacts]) -> None:
        """Warn if one of these live calls of the account has waited long."""
        longest = max((call.queue_seconds or 0.0 for call in calls), default=0.0)
        now = self._clock.boot()
        if longest <= LONG_SECONDS or now - self._warned_at.get(account.sid, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        self._warned_at[account.sid] = now
        log.warning(
            "account %s: a call waited %.0f s in the provider's queue: set DIALER_CALLS_PER_SECOND, or the calls_per_second of the account,"
            " to what the account allows",
            account.sid,
            longest,
        )
