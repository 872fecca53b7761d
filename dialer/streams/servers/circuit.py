"""A circuit breaker for a server that hangs: after a time-out its callers fail at once, until one probe has been answered.

A server that refuses connections fails within a millisecond by itself; one that accepts and never answers costs each caller a time-out.
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
# A person's request should not be the probe: a background duty probes first, if there is one.
FOREGROUND_DELAY_SECONDS = 1.0

log = logging.getLogger(__name__)


class Admission(Enum):
    """What a caller may do now."""

    GO = auto()
    PROBE = auto()
    FAIL = auto()


class CircuitBreaker:
    """Open after a time-out, for a pause that grows with each further one; half open while one probe is under way."""

    def __init__(self, clock: Clock, name: str = "Redis") -> None:
        """Begin closed; logs call the server `name`."""
        self._clock = clock
        self._name = name
        self._pause = 0.0
        self._opened_at = 0.0
        self._probing = False

    @property
    def closed(self) -> bool:
        """True while all callers are admitted."""
        return not self._pause

    def admit(self, *, background: bool) -> Admission:
        """Whether a caller may proceed; only one at a time has to probe, a `background` duty sooner than others."""
        if not self._pause:
            return Admission.GO
        due_at = self._opened_at + self._pause + (0.0 if background else FOREGROUND_DELAY_SECONDS)
        return Admission.FAIL if self._probing or self._clock.boot() < due_at else Admission.PROBE

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Admit no other probe during this block."""
        self._probing = True
        try:
            yield
        finally:
            self._probing = False

    def answered(self) -> None:
        """The server has answered, even with an error: close."""
        if self._pause:
            log.info("%s answers again", self._name)
        self._pause = 0.0

    def timed_out(self, sent_at: float) -> None:
        """A command sent at `sent_at` (boot clock, seconds) has timed out: open, or stay open for longer."""
        if self._pause and sent_at < self._opened_at:
            # Sent before the breaker opened: nothing new.
            return
        if not self._pause:
            log.warning("%s does not answer in time: commands fail at once until it does", self._name)
        self._pause = min(max(self._pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._opened_at = self._clock.boot()
