"""Decides which partitions this worker owns: renews its lease, takes over the partitions of dead workers, and hands over its surplus.

Rendezvous hashing over the live workers says which worker should own a partition; the partition's row, taken with a new epoch, says which
one does. No promise rests on this: claims are fenced by the epoch.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from typing import TYPE_CHECKING

from actors.clock_watch import ClockWatch
from dialer.concurrency.loop import Loop
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from actors.services import Services
    from actors.supervisor.supervisor import BusinessSupervisor
    from sql.workers.workers import PartitionOwner

LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0
STEP_SECONDS = 0.5
TAKE_AT_ONCE = 32
# A new worker gets its share slowly, and no partition that has just changed hands: a worker that comes and goes must not disturb others.
HAND_OVER_AT_ONCE = 4
SETTLED_SECONDS = 30.0
# While shutting down, check this often whether in-flight POSTs have finished.
PLACING_CHECK_SECONDS = 0.02

log = logging.getLogger(__name__)


class Lease:
    """The lease of this worker, and its share of the partitions."""

    def __init__(self, services: Services, supervisor: BusinessSupervisor, name: str) -> None:
        """`name` is what runs show as `locked_by_worker`."""
        self._services = services
        self._supervisor = supervisor
        self._name = name
        self._loop = Loop("lease", self._step, pause=STEP_SECONDS)
        self._renewed_at = 0.0
        self._started = False
        # Whether this incarnation is known to have a lease.
        self._joined = False
        self._clock = ClockWatch(services)
        # Held during a step: the step must not take partitions after everything was given back.
        self._stepping = asyncio.Lock()

    @property
    def age_seconds(self) -> float:
        """How long ago it was renewed; infinite before the first time."""
        return self._services.clock.boot() - self._renewed_at if self._joined else math.inf

    @property
    def trouble(self) -> str:
        """What keeps this worker from its lease; "" when it has one."""
        if self.age_seconds < LEASE_SECONDS:
            return ""
        why = f": {self._loop.trouble}" if self._loop.trouble else ""
        return f"its lease has expired{why}" if self._started and self._renewed_at else f"it has no lease yet{why}"

    async def run(self) -> None:
        """Hold a lease and a share of the partitions until told to leave."""
        if self._started:
            # This duty failed and was restarted; what it holds is not certain.
            self._drop_everything()
        self._started = True
        await self._loop.run()

    async def leave(self, seconds: float) -> None:
        """Give everything back: at once the partitions without a POST in flight, the rest as their POSTs finish, within `seconds`."""
        self._loop.close()
        deadline = self._services.clock.boot() + seconds
        await self._services.workers.step_down(self._services.ownership.incarnation)
        async with self._stepping:
            await self._give_back_all(deadline)
        await self._services.workers.leave(self._services.ownership.incarnation)

    async def _give_back_all(self, deadline: float) -> None:
        while held := list(self._services.ownership.epochs):
            busy = self._supervisor.placing(held) if self._services.clock.boot() < deadline else set()
            await self._give_back([partition for partition in held if partition not in busy])
            if busy:
                await asyncio.sleep(PLACING_CHECK_SECONDS)

    async def _step(self) -> None:
        async with self._stepping:
            if not self._joined:
                await self._join()
            await self._renew()
            await self._rebalance()

    async def _join(self) -> None:
        asked_at = self._services.clock.boot()
        await self._services.workers.join(self._services.ownership.incarnation, self._name, LEASE_SECONDS)
        self._joined, self._renewed_at = True, asked_at

    async def _renew(self) -> None:
        """Renew the lease in time; without it this incarnation is dead, drops everything, and joins again as another one."""
        asked_at = self._services.clock.boot()
        if asked_at - self._renewed_at < RENEW_SECONDS:
            return
        try:
            renewal = await self._services.workers.renew(self._services.ownership.incarnation, LEASE_SECONDS)
        except DatabaseUnavailableError:
            if not self._has_expired():
                raise
            await self._rejoin()
            return
        self._clock.observe(renewal.at, asked_at, self._services.clock.boot())
        if renewal.renewed:
            self._renewed_at = asked_at
        elif renewal.renewed is False or self._has_expired():
            await self._rejoin()

    def _has_expired(self) -> bool:
        """By our own clock: the row of the lease is locked, or PostgreSQL is away. A new incarnation has a row of its own, unlocked."""
        return self._services.clock.boot() - self._renewed_at >= LEASE_SECONDS

    async def _rejoin(self) -> None:
        log.error("the lease has expired: dropping all partitions and joining again as a new incarnation")
        self._drop_everything()
        await self._join()

    def _drop_everything(self) -> None:
        self._joined = False
        self._supervisor.leave(list(self._services.ownership.epochs))
        self._services.ownership.incarnation = self._services.ids.uuid()

    async def _rebalance(self) -> None:
        live = await self._services.workers.live()
        self._services.ownership.workers = len(live)
        holdings = await self._services.workers.holdings()
        me, held = self._services.ownership.incarnation, self._services.ownership.epochs
        lost = [h.partition for h in holdings if h.partition in held and (h.owner, h.epoch) != (me, held[h.partition])]
        if lost:
            log.warning("%d partitions were taken over by another worker", len(lost))
            self._supervisor.leave(lost)
        # Taken, but the answer was lost: give them back, so that they are taken again with an epoch that is known here.
        await self._give_back([h.partition for h in holdings if h.owner == me and h.partition not in held])
        await self._hand_over([h for h in holdings if h.partition in held], live)
        await self._take([h.partition for h in holdings if not h.owned and _owner_of(h.partition, live) == me])

    async def _take(self, partitions: Sequence[int]) -> None:
        for start in range(0, len(partitions), TAKE_AT_ONCE):
            if self._loop.closed:
                return
            taken = await self._services.workers.take_over(self._services.ownership.incarnation, partitions[start : start + TAKE_AT_ONCE])
            await self._supervisor.take(taken)
            await self._renew()

    async def _hand_over(self, mine: Iterable[PartitionOwner], live: Sequence[UUID]) -> None:
        me = self._services.ownership.incarnation
        surplus = [h.partition for h in mine if h.held_seconds > SETTLED_SECONDS and _owner_of(h.partition, live) != me]
        busy = self._supervisor.placing(surplus)
        await self._give_back([partition for partition in surplus if partition not in busy][:HAND_OVER_AT_ONCE])

    async def _give_back(self, partitions: Sequence[int]) -> None:
        if partitions:
            self._supervisor.leave(partitions)
            await self._services.workers.give_back(self._services.ownership.incarnation, partitions)


def _owner_of(partition: int, live: Sequence[UUID]) -> UUID | None:
    """Rendezvous hashing (Thaler and Ravishankar, 1996): the live worker with the highest score."""
    return max(live, key=lambda incarnation: hashlib.blake2b(incarnation.bytes + partition.to_bytes(2)).digest(), default=None)
