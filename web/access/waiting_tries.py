"""Where delayed sign-ins wait: so many of a crowd and so many in all, and whoever is new always finds room.

A crowd is the tries of one account from one address, or of one browser that is known: behind a proxy that is not trusted all clients
have one address, so an address alone says nothing of who somebody is. When there is no room the try that has waited longest is cut, of
its own crowd if that is full, else of the largest: who sends the most loses the most, and one that comes alone stays to the end unless
hundreds of others, each for another account, come within its delay.

A try that is cut is not checked: to answer it would let the next guess be made the sooner the more are sent.

On the road of a call: before it; who presses the button may have to wait here first.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class WaitingTries:
    """The tries that wait, at most `in_all` of them and `per_crowd` of each crowd."""

    def __init__(self, in_all: int, per_crowd: int) -> None:
        """Nobody waits yet."""
        self._in_all = in_all
        self._per_crowd = per_crowd
        self._order = itertools.count()
        self._count = 0
        # The number of a try says when it came.
        self._crowds: dict[Hashable, deque[tuple[int, asyncio.Future[None]]]] = {}

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    async def wait(self, crowd: Hashable, seconds: float) -> bool:
        """Wait so long; False when this try was cut before."""
        self._make_room(crowd)
        cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (next(self._order), cut)
        self._crowds.setdefault(crowd, deque()).append(entry)
        self._count += 1
        try:
            done, _ = await asyncio.wait([cut], timeout=seconds)
        finally:
            if not cut.done():
                self._crowds[crowd].remove(entry)
                self._left(crowd)
        return not done

    def _make_room(self, crowd: Hashable) -> None:
        if len(self._crowds.get(crowd, ())) >= self._per_crowd:
            self._cut(crowd)
        elif self._count >= self._in_all:
            self._cut(max(self._crowds, key=self._size_and_age))

    def _size_and_age(self, crowd: Hashable) -> tuple[int, int]:
        waiting = self._crowds[crowd]
        return len(waiting), -waiting[0][0]

    def _cut(self, crowd: Hashable) -> None:
        _, cut = self._crowds[crowd].popleft()
        cut.set_result(None)
        self._left(crowd)

    def _left(self, crowd: Hashable) -> None:
        self._count -= 1
        if not self._crowds[crowd]:
            del self._crowds[crowd]
