"""A circuit breaker for a server that hangs: after a time-out its callers fail at once, until one probe has been answered.

A server that refuses fails by itself within a millisecond; one that accepts and never answers costs every caller the whole time-out.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialer.clock import Clock

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0
# A request of a person should not be the one that finds out: a background duty probes first, if there is one.
FOREGROUND_DELAY_SECONDS = 1.0

log = logging.getLogger(__name__)


class Admission(Enum):
    """What a caller may do now."""

    GO = auto()
    PROBE = auto()
    FAIL = auto()


class CircuitBreaker:
    """Open after a time-out, for a pause that grows with each further one; half open while one probe is under way."""

    def __init__(self, clock: Clock) -> None:
        """Begin closed."""
        self._clock = clock
        self._pause = 0.0
        self._opened_at = 0.0
        self._probing = False

    @property
    def closed(self) -> bool:
        """True while everybody may ask."""
        return not self._pause

    def admit(self, *, background: bool) -> Admission:
        """Whether a caller may go on; only one at a time is told to probe, a `background` duty sooner than others."""
        if not self._pause:
            return Admission.GO
        due_at = self._opened_at + self._pause + (0.0 if background else FOREGROUND_DELAY_SECONDS)
        return Admission.FAIL if self._probing or self._clock.boot() < due_at else Admission.PROBE

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Let nobody else probe meanwhile."""
        self._probing = True
        try:
            yield
        finally:
            self._probing = False

    def answered(self) -> None:
        """The server has answered, whatever it said: close."""
        if self._pause:
            log.info("Redis answers again")
        self._pause = 0.0

    def timed_out(self, asked_at: float) -> None:
        """A question of `asked_at` (boot clock, seconds) has timed out: open, or stay open for longer."""
        if self._pause and asked_at < self._opened_at:
            # Asked before it opened: says nothing new.
            return
        if not self._pause:
            log.warning("Redis does not answer in time: commands fail at once until it does")
        self._pause = min(max(self._pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._opened_at = self._clock.boot()
