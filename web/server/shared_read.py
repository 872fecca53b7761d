"""Shares one read between concurrent callers.

A caller that arrives while a read is in flight waits for the next one, together with all others that arrive in the meantime: each gets a
result that was read after its call, and at most one read is in flight.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SharedRead(Generic[T]):
    """A read whose newest result, or error, goes to all callers that waited for it."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        """The first caller calls `read`; if that caller is cancelled, the next in line calls it again."""
        self._read = read
        self._turn = asyncio.Lock()
        self._begun = 0
        self._begun_at = 0.0
        self._ended = 0
        self._result: T | Exception | None = None

    async def fresh(self) -> T:
        """The result of a read that began after this call.

        Raises:
            Exception: whatever the read raised, for all callers that waited for it.
        """
        return await self._at_least(self._begun + 1)

    async def recent(self, seconds: float) -> T:
        """The last result, if its read began less than `seconds` ago, else a fresh one.

        Raises:
            Exception: whatever the read raised, for all callers that waited for it.
        """
        if self._begun and asyncio.get_running_loop().time() - self._begun_at < seconds:
            return await self._at_least(self._begun)
        return await self.fresh()

    async def _at_least(self, number: int) -> T:
        """The result of the read with this number, or of a later one."""
        async with self._turn:
            if self._ended < number:
                await self._once()
        if isinstance(self._result, Exception):
            raise self._result
        return self._result  # type: ignore[return-value] # a read has ended, so there is a result

    async def _once(self) -> None:
        self._begun += 1
        self._begun_at = asyncio.get_running_loop().time()
        number = self._begun
        try:
            self._result = await self._read()
        except Exception as error:  # noqa: BLE001 - raised again for each caller that waited
            self._result = error
        self._ended = number
