"""What waits aside because something of it is locked: each by itself, for a pause that doubles, so that it delays nothing behind it.

On the road of a call: beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dialer.clock import Clock


class Aside:
    """Keys that rest: businesses, or runs."""

    def __init__(self, clock: Clock, *, first_seconds: float, longest_seconds: float) -> None:
        """The first pause of a key lasts `first_seconds`, each further one twice as long, none longer than `longest_seconds`."""
        self._clock = clock
        self._first = first_seconds
        self._longest = longest_seconds
        self._until: dict[int, float] = {}
        self._pauses: dict[int, float] = {}

    def put(self, key: int, seconds: float | None = None) -> None:
        """Let it rest: for its next pause, or for so many `seconds`."""
        pause = min(2 * self._pauses[key], self._longest) if key in self._pauses else self._first
        self._pauses[key] = pause
        self._until[key] = self._clock.boot() + (pause if seconds is None else seconds)

    def clear(self, key: int) -> None:
        """It has had its turn: the next pause is a first one."""
        self._until.pop(key, None)
        self._pauses.pop(key, None)

    def keys(self) -> list[int]:
        """Those that rest now."""
        now = self._clock.boot()
        # One that did not come back for so long begins anew.
        for key in [key for key, until in self._until.items() if until + self._longest < now]:
            self.clear(key)
        return [key for key, until in self._until.items() if until > now]

    def next_in(self) -> float | None:
        """In how many seconds the next of them is to be asked again; None when none rests."""
        now = self._clock.boot()
        return min((until - now for until in self._until.values() if until > now), default=None)
