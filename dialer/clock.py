"""The only sources of time and randomness: a clock and a source of ids, so that tests can control both."""

from __future__ import annotations

import os
import random
import time
import uuid
from datetime import UTC, datetime
from typing import Protocol

NONCE_BITS = 128
SPAN_BITS = 64


class Clock(Protocol):
    """The time, on the two clocks we need."""

    def boot(self) -> float:
        """Seconds since an arbitrary point; never jumps, and runs on while the machine is suspended. For deadlines."""

    def now(self) -> datetime:
        """The wall clock, with zone UTC. For display, never for deadlines."""


class Ids(Protocol):
    """A source of ids that must not collide, or must not be guessed."""

    def uuid(self) -> uuid.UUID:
        """A random UUID: the token of a claim, the incarnation of a worker."""

    def nonce(self) -> str:
        """128 random bits as 32 hexadecimal digits: the part of a reference that cannot be guessed."""

    def fraction(self) -> float:
        """A number from 0 up to but without 1: the jitter of a retry."""

    def span_id(self) -> int:
        """64 random bits, not all zero: the id of a span that nobody else computes."""


class SystemClock:
    """The machine's own clocks."""

    # Linux only: it counts suspended time, so that a laptop that slept past a deadline notices. Elsewhere the monotonic clock is the
    # closest equivalent.
    _source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def boot(self) -> float:
        """Seconds since the machine was started, suspension included."""
        return time.clock_gettime(self._source)

    def now(self) -> datetime:
        """The wall clock, with zone UTC."""
        return datetime.now(UTC)


class SystemIds:
    """Ids from the kernel's random numbers; two processes never draw the same."""

    def uuid(self) -> uuid.UUID:
        """A random UUID, version 4."""
        return uuid.uuid4()

    def nonce(self) -> str:
        """128 random bits as 32 hexadecimal digits."""
        return os.urandom(NONCE_BITS // 8).hex()

    def fraction(self) -> float:
        """A number from 0 up to but without 1."""
        return random.random()

    def span_id(self) -> int:
        """64 bits, drawn without a system call; not all zero."""
        return random.getrandbits(SPAN_BITS) or 1


class SeededIds:
    """Repeatable ids: a simulation that failed is replayed by its seed. Never in production."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uuid(self) -> uuid.UUID:
        """A UUID, version 4, drawn from the seed."""
        return uuid.UUID(int=self._random.getrandbits(128), version=4)

    def nonce(self) -> str:
        """128 bits drawn from the seed as 32 hexadecimal digits."""
        return f"{self._random.getrandbits(NONCE_BITS):032x}"

    def fraction(self) -> float:
        """A number from 0 up to but without 1, drawn from the seed."""
        return self._random.random()

    def span_id(self) -> int:
        """64 bits drawn from the seed; not all zero."""
        return self._random.getrandbits(SPAN_BITS) or 1
