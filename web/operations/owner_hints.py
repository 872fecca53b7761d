"""Tells the owners of businesses what PostgreSQL has decided, after the request has been answered.

A notice is a hint: an owner that gets none finds out by polling. So nobody waits for Redis, and what does not fit is dropped.

On the road of a call: between 1 and 3, and between 6 and 4; `dialer/streams/client.py` carries what is sent here.
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
# What is left when the process ends is sent within this time, or dropped.
LAST_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class OwnerHints:
    """A bounded queue of notices, and the task that sends them in order."""

    def __init__(self, streams: Streams) -> None:
        """Begin with `async with`."""
        self._streams = streams
        self._waiting: deque[tuple[int, Hint]] = deque()
        self._per_business: Counter[int] = Counter()
        self._kicked = asyncio.Event()
        self._stopping = False
        self._tasks = asyncio.TaskGroup()
        self.dropped = 0

    async def __aenter__(self) -> Self:
        """Start sending."""
        await self._tasks.__aenter__()
        self._sending = self._tasks.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Send what is left, and stop."""
        self._stopping = True
        self._kicked.set()
        await asyncio.wait({self._sending}, timeout=LAST_SECONDS)
        self._sending.cancel()
        await self._tasks.__aexit__(None, None, None)

    def send(self, partition: int, hint: Hint) -> None:
        """Send this hint to the owner of `partition` soon; drop it when too many wait, of all or of its business."""
        if len(self._waiting) >= MAX_WAITING or self._per_business[hint.business_id] >= MAX_WAITING_PER_BUSINESS:
            self.dropped += 1
            return
        self._waiting.append((partition, hint))
        self._per_business[hint.business_id] += 1
        self._kicked.set()

    async def _run(self) -> None:
        while self._waiting or not self._stopping:
            await self._kicked.wait()
            self._kicked.clear()
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
            # Whatever it is, the notices behind it must not wait for a restart.
            log.exception("an owner was not notified")
