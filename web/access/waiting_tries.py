"""The queue of delayed sign-ins: bounded in all and per crowd, and a new try always finds room.

A crowd is the tries for one account from one address, or of one recognized browser: behind a proxy that is not trusted all clients share
one address, so an address alone identifies no one. When the queue is full, the try that has waited longest is dropped: from its own
crowd if that is full, else from the largest. So the crowd that sends the most loses the most, and a single try stays to the end unless
hundreds of others, each for another account, arrive within its delay.

A dropped try is not checked: otherwise, sending more tries would get the next guess checked sooner.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class WaitingTries:
    """The waiting tries, at most `in_all` of them and `per_crowd` of each crowd."""

    def __init__(self, in_all: int, per_crowd: int) -> None:
        """An empty queue."""
        self._in_all = in_all
        self._per_crowd = per_crowd
        self._order = itertools.count()
        self._count = 0
        # Each try has a number, in the order of arrival.
        self._crowds: dict[Hashable, deque[tuple[int, asyncio.Future[None]]]] = {}

    def __len__(self) -> int:
        """The number of waiting tries."""
        return self._count

    async def wait(self, crowd: Hashable, seconds: float) -> bool:
        """Wait for `seconds`; False when this try was dropped before."""
        self._make_room(crowd)
        dropped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (next(self._order), dropped)
        self._crowds.setdefault(crowd, deque()).append(entry)
        self._count += 1
        try:
            done, _ = await asyncio.wait([dropped], timeout=seconds)
        finally:
            if not dropped.done():
                self._crowds[crowd].remove(entry)
                self._forget_one(crowd)
        return not done

    def _make_room(self, crowd: Hashable) -> None:
        if len(self._crowds.get(crowd, ())) >= self._per_crowd:
            self._drop_oldest(crowd)
        elif self._count >= self._in_all:
            self._drop_oldest(max(self._crowds, key=self._size_and_age))

    def _size_and_age(self, crowd: Hashable) -> tuple[int, int]:
        waiting = self._crowds[crowd]
        return len(waiting), -waiting[0][0]

    def _drop_oldest(self, crowd: Hashable) -> None:
        _, dropped = self._crowds[crowd].popleft()
        dropped.set_result(None)
        self._forget_one(crowd)

    def _forget_one(self, crowd: Hashable) -> None:
        self._count -= 1
        if not self._crowds[crowd]:
            del self._crowds[crowd]
