"""Notices that the database's clock has jumped: each renewal of the lease tells its time, and this machine's boot clock never jumps.

On the road of a call: beside 3. Deadlines and proofs of absence are reckoned by the database's clock; while it is not to be believed no
lead is taken.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.services import Services

# More than a clock that is being slewed, or a slow answer, can be out.
JUMP_SECONDS = 2.0

log = logging.getLogger(__name__)


class ClockWatch:
    """Compares how much time has passed in the database and here."""

    def __init__(self, services: Services) -> None:
        """Sets `clock_trusted_from` in `services.ownership`."""
        self._services = services
        self._last: tuple[float, float, float] | None = None

    def saw(self, at: float, asked_at: float, answered_at: float) -> None:
        """The database said `at` (its clock, seconds) to a question between two moments of our boot clock."""
        last, self._last = self._last, (at, asked_at, answered_at)
        if last is None:
            return
        passed = at - last[0]
        # When exactly the database read its clock, between question and answer, nobody knows.
        least, most = asked_at - last[2], answered_at - last[1]
        jump = passed - most if passed > most else min(passed - least, 0.0)
        if abs(jump) > JUMP_SECONDS:
            lag = self._services.policy.lag_seconds
            self._services.ownership.clock_trusted_from = answered_at + lag
            log.error("the clock of the database has jumped by %.1f s: no lead is taken for %.0f s", jump, lag)
