"""What one browser or program has still to be sent of what it listens to, bounded in number and in bytes.

On the road of a call: after 7; the last queue before the screen.
"""

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
    """What waits for one connection: the events of one run, or of all runs of a business (`run_id` None).

    `missed` when there was more than fits, or a gap.
    """

    def __init__(self, business_id: int, run_id: int | None) -> None:
        self.business_id = business_id
        self.run_id = run_id
        self.missed = False
        self._waiting: deque[FramedEvent] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()

    def put(self, event: FramedEvent) -> None:
        """One more event."""
        if len(self._waiting) >= MAX_WAITING_EVENTS or self._bytes + len(event.frame) > MAX_WAITING_BYTES:
            self.miss()
        elif not self.missed:
            self._waiting.append(event)
            self._bytes += len(event.frame)
            self._woken.set()

    def miss(self) -> None:
        """Something was lost: nothing that waits is of use any more."""
        self._clear()
        self.missed = True
        self._woken.set()

    def wake(self) -> None:
        """Let `wait` return."""
        self._woken.set()

    def begin_anew(self) -> None:
        """From here on nothing is missing; what comes from now on waits."""
        self._clear()
        self.missed = False

    def take(self) -> list[FramedEvent]:
        """What waits, oldest first."""
        taken = list(self._waiting)
        self._clear()
        return taken

    async def wait(self, seconds: float) -> bool:
        """Wait for something to happen; False when nothing did for `seconds`."""
        if not await wait_for_event(self._woken, seconds):
            return False
        self._woken.clear()
        return True

    def _clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0
