"""Divides a small number of places between tenants, so that no tenant can starve the others.

A tenant may hold as many places as it leaves free: half of them when it is alone. So one place is left for a tenant that holds none,
unless about as many tenants take their maximum as the places can be halved. Waiting tenants are served in turn. Some places are reserved
for urgent uses.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class BusyError(TimeoutError):
    """No place became free in time, or too many uses of this tenant wait already; nothing has been done."""


@dataclass(frozen=True, slots=True)
class Use:
    """The use of a place: a tenant such as `business:7`, and whether it may use the reserve."""

    tenant: str
    urgent: bool = False


class Shares:
    """`total` places; `reserved` of them are kept for urgent uses."""

    def __init__(self, total: int, *, reserved: int = 0, patience_seconds: float, waiting_per_tenant: int) -> None:
        """A use waits `patience_seconds` at most, and at most `waiting_per_tenant` uses of a tenant wait at a time."""
        self._total = total
        self._ordinary_total = total - reserved
        self.patience_seconds = patience_seconds
        self._waiting_per_tenant = waiting_per_tenant
        self._held: defaultdict[Use, int] = defaultdict(int)
        self._in_use = {False: 0, True: 0}
        self._waiting: OrderedDict[Use, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def hold(self, use: Use) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            BusyError: when none became free in time, or too many wait.
        """
        await self._take(use)
        try:
            yield
        finally:
            self._release(use)

    def free(self, *, urgent: bool = False) -> int:
        """How many places are free for this kind of use."""
        free = self._total - sum(self._in_use.values())
        return free if urgent else min(free, self._ordinary_total - self._in_use[False])

    async def _take(self, use: Use) -> None:
        if self._allowed(use):
            self._grant(use)
            return
        waiting = self._waiting.setdefault(use, deque())
        if len(waiting) >= self._waiting_per_tenant:
            raise BusyError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(self.patience_seconds):
                await turn
        except TimeoutError:
            self._withdraw(use, turn)
            raise BusyError from None
        except asyncio.CancelledError:
            self._withdraw(use, turn)
            raise

    def _withdraw(self, use: Use, turn: asyncio.Future[None]) -> None:
        """Stop waiting; a place granted at the same moment is passed on."""
        if turn.done() and not turn.cancelled():
            self._release(use)
        elif use in self._waiting and turn in self._waiting[use]:
            self._waiting[use].remove(turn)
            self._drop_if_empty(use)

    def _allowed(self, use: Use) -> bool:
        return self._held.get(use, 0) < self.free(urgent=use.urgent)

    def _grant(self, use: Use) -> None:
        self._held[use] += 1
        self._in_use[use.urgent] += 1

    def _release(self, use: Use) -> None:
        self._held[use] -= 1
        self._in_use[use.urgent] -= 1
        if not self._held[use]:
            del self._held[use]
        while (following := self._next()) is not None:
            self._serve(following)

    def _next(self) -> Use | None:
        """The use to serve next: urgent ones first, then the one served longest ago."""
        waiting = sorted(self._waiting, key=lambda use: not use.urgent)
        return next((use for use in waiting if self._allowed(use)), None)

    def _serve(self, use: Use) -> None:
        turn = self._waiting[use].popleft()
        self._waiting.move_to_end(use)
        self._drop_if_empty(use)
        if not turn.done():
            self._grant(use)
            turn.set_result(None)

    def _drop_if_empty(self, use: Use) -> None:
        if not self._waiting[use]:
            del self._waiting[use]
