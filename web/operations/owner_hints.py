"""Sends hints about decisions made in PostgreSQL to the owners of businesses, in the background.

A hint may be lost: an owner that misses it finds the change by polling. So no request waits for Redis, and a full queue drops hints.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

    from dialer.messages import Hint
    from dialer.streams.client import Streams

MAX_WAITING: Final = 5_000
MAX_WAITING_PER_BUSINESS: Final = 100
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
        self._wake = asyncio.Event()
        self._stopping = False
        self._tasks = asyncio.TaskGroup()
        self.dropped = 0

    async def __aenter__(self) -> Self:
        """Start sending."""
        await self._tasks.__aenter__()
        self._sending = self._tasks.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Flush the queue, and stop."""
        self._stopping = True
        self._wake.set()
        await asyncio.wait({self._sending}, timeout=LAST_SECONDS)
        self._sending.cancel()
        await self._tasks.__aexit__(None, None, None)

    def send(self, partition: int, hint: Hint) -> None:
        """Queue a hint for the owner of `partition`; drop it when too many are queued, in total or for its business."""
        if len(self._waiting) >= MAX_WAITING or self._per_business[hint.business_id] >= MAX_WAITING_PER_BUSINESS:
            self.dropped += 1
            return
        self._waiting.append((partition, hint))
        self._per_business[hint.business_id] += 1
        self._wake.set()

    async def _run(self) -> None:
        while self._waiting or not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._send_next()

    async def _send_next(self) -> None:
        partition, hint = self._waiting.popleft()
        self._per_business[hint.business_id] -= 1
        if not self._per_business[hint.business_id]:
            del self._per_business[hint.business_id]
        try:
            await self._streams.send_hint(partition, hint)
        except Exception:
            # Whatever went wrong, the hints queued behind this one must not wait for a restart.
            log.exception("could not send a hint to an owner")
