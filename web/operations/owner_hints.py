"""Sends hints about decisions made in PostgreSQL to the owners of businesses, in the background.

A hint may be lost: an owner that misses it finds the change by polling. So no request waits for Redis, and a full queue drops hints.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Self

from dialer.concurrency.loop import Loop
from dialer.concurrency.tasks import Tasks

if TYPE_CHECKING:
    from types import TracebackType

    from dialer.messages import Hint
    from dialer.streams.client import Streams

MAX_WAITING: Final = 5_000
MAX_WAITING_PER_BUSINESS: Final = 100
MAX_AT_ONCE: Final = 200
# At shutdown, hints that cannot be sent within this time are dropped.
LAST_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class OwnerHints:
    """A bounded queue of hints, and the task that sends them in order."""

    def __init__(self, streams: Streams) -> None:
        """Use with `async with`."""
        self._streams = streams
        self._waiting: deque[tuple[int, Hint]] = deque()
        self._per_business: Counter[int] = Counter()
        self._loop = Loop("hints to owners", self._send_all, pause=None)
        self._tasks = Tasks()
        self.dropped = 0

    async def __aenter__(self) -> Self:
        """Start sending."""
        self._tasks.spawn(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Flush the queue, and stop."""
        self._loop.close()
        await self._tasks.finish(LAST_SECONDS)

    def send(self, partition: int, hint: Hint) -> None:
        """Queue a hint for the owner of `partition`; drop it when too many are queued, in total or for its business."""
        if len(self._waiting) >= MAX_WAITING or self._per_business[hint.business_id] >= MAX_WAITING_PER_BUSINESS:
            self.dropped += 1
            return
        self._waiting.append((partition, hint))
        self._per_business[hint.business_id] += 1
        self._loop.ring()

    async def _run(self) -> None:
        await self._loop.run()
        await self._send_all()

    async def _send_all(self) -> None:
        while self._waiting:
            await self._send_some()

    async def _send_some(self) -> None:
        """Send what is queued in one round trip."""
        hints = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_AT_ONCE))]
        self._per_business.subtract(hint.business_id for _, hint in hints)
        # Drops those that are zero.
        self._per_business = +self._per_business
        try:
            await self._streams.send_hints(hints)
        except Exception:
            # Whatever went wrong, the hints queued behind these must not wait for a restart.
            log.exception("could not send %d hints to owners", len(hints))
