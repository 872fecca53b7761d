"""A semaphore for each key: limits how many requests of one business, or of one account, are in flight at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


Key = TypeVar("Key", int, str)


class KeyedSemaphore(Generic[Key]):
    """Lets `limit` holders in at once for each key, in the order in which they came."""

    def __init__(self, limit: int) -> None:
        """`limit` holds for every key alike; a key without holders costs nothing."""
        self._limit = limit
        self._semaphores: dict[Key, tuple[asyncio.Semaphore, set[object]]] = {}

    @asynccontextmanager
    async def hold(self, key: Key) -> AsyncIterator[None]:
        """Wait until there is room under this key, and take it for the length of a block."""
        semaphore, holders = self._semaphores.setdefault(key, (asyncio.Semaphore(self._limit), set()))
        holder = object()
        holders.add(holder)
        try:
            async with semaphore:
                yield
        finally:
            holders.discard(holder)
            if not holders:
                self._semaphores.pop(key, None)
