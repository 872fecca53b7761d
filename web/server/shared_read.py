"""One reading for all who ask the same thing at the same time.

Whoever asks while a reading is in flight waits for the next one, together with all who ask meanwhile: so what each gets was read
after it asked, and at most one reading of a kind is in flight.

On the road of a call: beside it; what the screens are told of it is read through here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SharedRead(Generic[T]):
    """One thing that is read: its newest answer, or the error it ended with, is given to all who waited for it."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        """`read` is called by whoever comes first; when that one is cancelled, the next in turn calls it again."""
        self._read = read
        self._turn = asyncio.Lock()
        self._begun = 0
        self._begun_at = 0.0
        self._ended = 0
        self._answer: T | Exception | None = None

    async def fresh(self) -> T:
        """What is read after this call.

        Raises:
            Exception: whatever the reading raised, for all who waited for it.
        """
        return await self._at_least(self._begun + 1)

    async def recent(self, seconds: float) -> T:
        """The last answer, if its reading began less than `seconds` ago, else a fresh one.

        Raises:
            Exception: whatever the reading raised, for all who waited for it.
        """
        if self._begun and asyncio.get_running_loop().time() - self._begun_at < seconds:
            return await self._at_least(self._begun)
        return await self.fresh()

    async def _at_least(self, number: int) -> T:
        """The answer of the reading with this number, or of a later one."""
        async with self._turn:
            if self._ended < number:
                await self._once()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer  # type: ignore[return-value] # a reading has ended, so there is an answer

    async def _once(self) -> None:
        self._begun += 1
        self._begun_at = asyncio.get_running_loop().time()
        number = self._begun
        try:
            self._answer = await self._read()
        except Exception as error:  # noqa: BLE001 - raised again by each who waited
            self._answer = error
        self._ended = number
