"""Keeps the memory of large requests within bounds: a few are read and checked at a time, the others wait their turn.

On the road of a call: 1, around the loading of leads.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from web.faults import busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Each may hold a body of 32 MB and the rows made of it.
AT_ONCE: Final = 4
WAIT_SECONDS: Final = 30.0


class Loads:
    """The turns of one process."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            ApiError: 503, when none was free for 30 seconds.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise busy() from None
        try:
            yield
        finally:
            self._turns.release()
