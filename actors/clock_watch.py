"""Detects jumps of the database's clock: each lease renewal returns its time, and this machine's boot clock never jumps.

Deadlines and proofs of absence are computed from the database's clock; while it cannot be trusted, no lead is claimed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.services import Services

# More than slewing a clock, or a slow answer, can account for.
JUMP_SECONDS = 2.0

log = logging.getLogger(__name__)


class ClockWatch:
    """Compares how much time has passed in the database and here."""

    def __init__(self, services: Services) -> None:
        """Sets `clock_trusted_from` in `services.ownership`."""
        self._services = services
        self._last: tuple[float, float, float] | None = None

    def observe(self, at: float, asked_at: float, answered_at: float) -> None:
        """The database read its clock as `at` (seconds) some time between `asked_at` and `answered_at` (boot clock)."""
        last, self._last = self._last, (at, asked_at, answered_at)
        if last is None:
            return
        passed = at - last[0]
        # When exactly the database read its clock, between question and answer, is unknown.
        least, most = asked_at - last[2], answered_at - last[1]
        jump = passed - most if passed > most else min(passed - least, 0.0)
        if abs(jump) > JUMP_SECONDS:
            lag = self._services.policy.lag_seconds
            self._services.ownership.clock_trusted_from = answered_at + lag
            log.error("the clock of the database has jumped by %.1f s: no lead is claimed for %.0f s", jump, lag)
