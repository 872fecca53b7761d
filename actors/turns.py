"""A budget a business for what all share: so many of its requests are under way at once, and the others of it wait in line.

On the road of a call: beside 4, when the provider is asked.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Turns:
    """At most `limit` turns at once for each business, in the order in which they were asked for."""

    def __init__(self, limit: int) -> None:
        """Begin with nobody in line."""
        self._limit = limit
        self._lines: dict[int, tuple[asyncio.Semaphore, set[object]]] = {}

    @asynccontextmanager
    async def turn(self, business_id: int) -> AsyncIterator[None]:
        """Wait for a turn of this business, and hold it for the length of a block."""
        semaphore, waiting = self._lines.setdefault(business_id, (asyncio.Semaphore(self._limit), set()))
        ticket = object()
        waiting.add(ticket)
        try:
            async with semaphore:
                yield
        finally:
            waiting.discard(ticket)
            if not waiting:
                self._lines.pop(business_id, None)
