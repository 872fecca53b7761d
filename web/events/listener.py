"""The queue of events still to be sent to one browser or program, bounded in number and in bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from dialer.concurrency.loop import wait_for_event

if TYPE_CHECKING:
    from web.events.frames import FramedEvent

MAX_WAITING_EVENTS: Final = 500
MAX_WAITING_BYTES: Final = 256 * 1024


class Listener:
    """The queue of one connection: the events of one run, or of all runs of a business (`run_id` None).

    `missed` is True after the queue overflowed, or after a gap in the stream.
    """

    def __init__(self, business_id: int, run_id: int | None) -> None:
        self.business_id = business_id
        self.run_id = run_id
        self.missed = False
        self._waiting: deque[FramedEvent] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()

    def put(self, event: FramedEvent) -> None:
        """Queue an event."""
        if len(self._waiting) >= MAX_WAITING_EVENTS or self._bytes + len(event.frame) > MAX_WAITING_BYTES:
            self.mark_missed()
        elif not self.missed:
            self._waiting.append(event)
            self._bytes += len(event.frame)
            self._woken.set()

    def mark_missed(self) -> None:
        """Events were lost: drop the queue, the listener must start again from the full state."""
        self._clear()
        self.missed = True
        self._woken.set()

    def wake(self) -> None:
        """Let `wait` return."""
        self._woken.set()

    def restart(self) -> None:
        """Start with an empty queue; from here on nothing is missing."""
        self._clear()
        self.missed = False

    def take(self) -> list[FramedEvent]:
        """Remove and return the queued events, the oldest first."""
        events = list(self._waiting)
        self._clear()
        return events

    async def wait(self, seconds: float) -> bool:
        """Wait to be woken; False after `seconds`."""
        if not await wait_for_event(self._woken, seconds):
            return False
        self._woken.clear()
        return True

    def _clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0
