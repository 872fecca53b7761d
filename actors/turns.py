"""A budget a business, or an account, for what all share: so many of its requests are under way at once, and its others wait in line.

On the road of a call: beside 4, when the provider is asked.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


Whose = TypeVar("Whose", int, str)


class Turns(Generic[Whose]):
    """At most `limit` turns at once for each business (or account), in the order in which they were asked for."""

    def __init__(self, limit: int) -> None:
        """Begin with nobody in line."""
        self._limit = limit
        self._lines: dict[Whose, tuple[asyncio.Semaphore, set[object]]] = {}

    @asynccontextmanager
    async def turn(self, whose: Whose) -> AsyncIterator[None]:
        """Wait for a turn of this one, and hold it for the length of a block."""
        semaphore, waiting = self._lines.setdefault(whose, (asyncio.Semaphore(self._limit), set()))
        ticket = object()
        waiting.add(ticket)
        try:
            async with semaphore:
                yield
        finally:
            waiting.discard(ticket)
            if not waiting:
                self._lines.pop(whose, None)
