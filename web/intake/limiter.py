"""Limits what a process does at once for uploads and exports, in all and for one business."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from web.server.errors import RETRY_SECONDS, ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AsyncExitStack

WAIT_SECONDS: Final = 30.0
# A body in flight takes disk (at most 32 MB) and a connection; its sender must keep a minimum pace (web/server/bodies.py).
RECEIVED_AT_ONCE: Final = 64
RECEIVED_FOR_A_BUSINESS: Final = 4
# Checking rows takes memory and the processor for seconds, and never waits for the sender.
CHECKED_AT_ONCE: Final = 4
CHECKED_FOR_A_BUSINESS: Final = 2
# Read while they arrive, besides: whoever sends slowly keeps such a turn, so nobody waits for one.
FOLLOWED_AT_ONCE: Final = 2
FOLLOWED_FOR_A_BUSINESS: Final = 1
UPLOADS_BUSY: Final = msgid("Too many files are being uploaded right now. Please try again shortly.")


class TenantLimiter:
    """`in_all` at once, at most `for_one` of them for one business, which waits for a place of its own before it waits for a free one."""

    def __init__(self, in_all: int, for_one: int, wait_seconds: float = WAIT_SECONDS, busy: str = UPLOADS_BUSY) -> None:
        """`busy` is the msgid of the sentence for a request that gets no place in time."""
        self._all = asyncio.Semaphore(in_all)
        self._for_one = for_one
        self._wait_seconds = wait_seconds
        self._busy = busy
        self._own: dict[int, asyncio.Semaphore] = {}
        self._users: Counter[int] = Counter()

    @asynccontextmanager
    async def hold(self, business_id: int) -> AsyncIterator[None]:
        """Wait for a place, and hold it.

        Raises:
            ApiError: 503, when none became free in time.
        """
        own = self._own.setdefault(business_id, asyncio.Semaphore(self._for_one))
        self._users[business_id] += 1
        try:
            deadline = asyncio.get_running_loop().time() + self._wait_seconds
            async with self._held(own, deadline), self._held(self._all, deadline):
                yield
        finally:
            self._users[business_id] -= 1
            if not self._users[business_id]:
                del self._users[business_id], self._own[business_id]

    async def try_hold(self, business_id: int, holding: AsyncExitStack) -> bool:
        """Hold a place within `holding`, if one is free in time; return whether it was."""
        try:
            await holding.enter_async_context(self.hold(business_id))
        except ApiError:
            return False
        return True

    @asynccontextmanager
    async def _held(self, places: asyncio.Semaphore, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                await places.acquire()
        except TimeoutError:
            raise ApiError(503, "busy", Text(self._busy), headers={"Retry-After": str(RETRY_SECONDS)}) from None
        try:
            yield
        finally:
            places.release()


class UploadLimiter:
    """The uploads of one process."""

    def __init__(self) -> None:
        self.receiving = TenantLimiter(RECEIVED_AT_ONCE, RECEIVED_FOR_A_BUSINESS)
        self.checking = TenantLimiter(CHECKED_AT_ONCE, CHECKED_FOR_A_BUSINESS)
        self.following = TenantLimiter(FOLLOWED_AT_ONCE, FOLLOWED_FOR_A_BUSINESS, wait_seconds=0)
