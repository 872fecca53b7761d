"""Limits uploads: how many bodies are received and checked at once, in all and for one business."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from web.server.errors import RETRY_SECONDS, ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WAIT_SECONDS: Final = 30.0
# A body in flight takes disk (at most 32 MB) and a connection; its sender must keep a minimum pace (web/server/bodies.py).
RECEIVED_AT_ONCE: Final = 64
RECEIVED_FOR_A_BUSINESS: Final = 4
# Checking rows takes memory and the processor for seconds, and never waits for the sender.
CHECKED_AT_ONCE: Final = 4
CHECKED_FOR_A_BUSINESS: Final = 2


class Turns:
    """`in_all` turns at once, at most `for_one` of them for one business, which waits for one of its own before it waits for a free one."""

    def __init__(self, in_all: int, for_one: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._all = asyncio.Semaphore(in_all)
        self._for_one = for_one
        self._wait_seconds = wait_seconds
        self._own: dict[int, asyncio.Semaphore] = {}
        self._users: Counter[int] = Counter()

    @asynccontextmanager
    async def turn(self, business_id: int) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            ApiError: 503, when none became free in time.
        """
        own = self._own.setdefault(business_id, asyncio.Semaphore(self._for_one))
        self._users[business_id] += 1
        try:
            deadline = asyncio.get_running_loop().time() + self._wait_seconds
            async with _held(own, deadline), _held(self._all, deadline):
                yield
        finally:
            self._users[business_id] -= 1
            if not self._users[business_id]:
                del self._users[business_id], self._own[business_id]


class UploadLimiter:
    """The turns of one process."""

    def __init__(self) -> None:
        self.receiving = Turns(RECEIVED_AT_ONCE, RECEIVED_FOR_A_BUSINESS)
        self.checking = Turns(CHECKED_AT_ONCE, CHECKED_FOR_A_BUSINESS)


@asynccontextmanager
async def _held(turns: asyncio.Semaphore, deadline: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            await turns.acquire()
    except TimeoutError:
        text = Text(msgid("Too many files are being uploaded right now. Please try again shortly."))
        raise ApiError(503, "busy", text, headers={"Retry-After": str(RETRY_SECONDS)}) from None
    try:
        yield
    finally:
        turns.release()
