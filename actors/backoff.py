"""Exponential backoff by key: a business or a run whose rows are locked is postponed by itself, and the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dialer.clock import Clock


class Backoff:
    """The keys that are postponed: businesses, or runs."""

    def __init__(self, clock: Clock, *, first_seconds: float, longest_seconds: float) -> None:
        """The first pause of a key lasts `first_seconds`, each further one twice as long, up to `longest_seconds`."""
        self._clock = clock
        self._first = first_seconds
        self._longest = longest_seconds
        self._until: dict[int, float] = {}
        self._pauses: dict[int, float] = {}

    def postpone(self, key: int, seconds: float | None = None) -> None:
        """Postpone a key by its next pause, or by so many `seconds`."""
        pause = min(2 * self._pauses[key], self._longest) if key in self._pauses else self._first
        self._pauses[key] = pause
        self._until[key] = self._clock.boot() + (pause if seconds is None else seconds)

    def reset(self, key: int) -> None:
        """It succeeded: its next pause is a first one again."""
        self._until.pop(key, None)
        self._pauses.pop(key, None)

    def postponed(self) -> list[int]:
        """The keys that are not due yet."""
        now = self._clock.boot()
        # A key that was due that long ago, and was not postponed again, starts over.
        for key in [key for key, until in self._until.items() if until + self._longest < now]:
            self.reset(key)
        return [key for key, until in self._until.items() if until > now]

    def next_in(self) -> float | None:
        """In how many seconds the next of them is due; None when none is postponed."""
        now = self._clock.boot()
        return min((until - now for until in self._until.values() if until > now), default=None)
