"""Which partitions this worker drives: a lease that is renewed, partitions taken from the dead, and given to who should have them.

Rendezvous hashing over the live workers says who should own a partition; the row, taken with a new epoch, says who does.

On the road of a call: beside 3. It decides which worker hears the message; no promise rests on it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING

from actors.clock_watch import ClockWatch
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from actors.services import Services
    from actors.supervisor.supervisor import BusinessSupervisor
    from sql.workers.workers import PartitionOwner

LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0
LOOK_SECONDS = 0.5
TAKE_AT_ONCE = 32
# A newcomer gets its share slowly, and nothing that has just changed hands: a worker that comes and goes must not stir the others.
GIVE_AT_ONCE = 4
SETTLED_SECONDS = 30.0

# While it leaves, it looks this often whether the POSTs in progress have ended.
QUIET_LOOK_SECONDS = 0.02

log = logging.getLogger(__name__)


class Lease:
    """The lease of this worker, and its share of the partitions."""

    def __init__(self, services: Services, partitions: BusinessSupervisor, name: str) -> None:
        """`name` is what runs show as `locked_by_worker`."""
        self._services = services
        self._partitions = partitions
        self._name = name
        self._renewed_at = 0.0
        self._joined = False
        self._clock = ClockWatch(services)
        self._leaving = asyncio.Event()
        # Held while a step is under way: what it takes must not come after everything was given back.
        self._step = asyncio.Lock()

    async def run(self) -> None:
        """Hold a lease and a share of the partitions until told to leave."""
        if self._joined:
            # This duty has failed and is begun again; what it held is not known for certain.
            self._drop_everything()
        await self._join()
        while not self._leaving.is_set():
            try:
                async with self._step:
                    await self._renew()
                    await self._look()
            except DatabaseUnavailableError as error:
                log.warning("%s", error)
            await self._rest()

    async def leave(self, seconds: float) -> None:
        """Give everything back: at once what has no POST in progress, the rest as its POSTs end, within `seconds`."""
        self._leaving.set()
        deadline = self._services.clock.boot() + seconds
        await self._services.workers.step_down(self._services.ownership.incarnation)
        async with self._step:
            await self._give_back_all(deadline)
        await self._services.workers.leave(self._services.ownership.incarnation)

    async def _give_back_all(self, deadline: float) -> None:
        while held := list(self._services.ownership.epochs):
            busy = self._partitions.placing(held) if self._services.clock.boot() < deadline else set()
            await self._give_back([partition for partition in held if partition not in busy])
            if busy:
                await asyncio.sleep(QUIET_LOOK_SECONDS)

    async def _join(self) -> None:
        while not self._leaving.is_set():
            self._joined = True
            asked_at = self._services.clock.boot()
            try:
                await self._services.workers.join(self._services.ownership.incarnation, self._name, LEASE_SECONDS)
            except DatabaseUnavailableError as error:
                log.warning("no lease: %s", error)
                await self._rest()
            else:
                self._renewed_at = asked_at
                return

    async def _renew(self) -> None:
        """Renew the lease in time; without it this incarnation is dead, drops everything, and comes back as another."""
        asked_at = self._services.clock.boot()
        if asked_at - self._renewed_at < RENEW_SECONDS:
            return
        try:
            renewal = await self._services.workers.renew(self._services.ownership.incarnation, LEASE_SECONDS)
        except DatabaseUnavailableError:
            if not self._has_run_out():
                raise
            await self._come_back()
            return
        self._clock.saw(renewal.at, asked_at, self._services.clock.boot())
        if renewal.renewed:
            self._renewed_at = asked_at
        elif renewal.renewed is False or self._has_run_out():
            await self._come_back()

    def _has_run_out(self) -> bool:
        """By our own clock: somebody holds the row of the lease, or PostgreSQL is away. The row of a new incarnation nobody holds."""
        return self._services.clock.boot() - self._renewed_at >= LEASE_SECONDS

    async def _come_back(self) -> None:
        log.error("the lease has run out: everything is dropped, and taken up again by a new incarnation")
        self._drop_everything()
        await self._join()

    def _drop_everything(self) -> None:
        self._partitions.leave(list(self._services.ownership.epochs))
        self._services.ownership.incarnation = self._services.ids.uuid()

    async def _look(self) -> None:
        live = await self._services.workers.live()
        self._services.ownership.workers = len(live)
        holdings = await self._services.workers.holdings()
        me, held = self._services.ownership.incarnation, self._services.ownership.epochs
        lost = [h.partition for h in holdings if h.partition in held and (h.owner, h.epoch) != (me, held[h.partition])]
        if lost:
            log.warning("%d partitions were taken over by another worker", len(lost))
            self._partitions.leave(lost)
        # Taken, but the answer was lost: nobody drives it until it is taken again.
        await self._give_back([h.partition for h in holdings if h.owner == me and h.partition not in held])
        await self._give([h for h in holdings if h.partition in held], live)
        await self._take([h.partition for h in holdings if not h.owned and _belongs_to(h.partition, live) == me])

    async def _take(self, partitions: Sequence[int]) -> None:
        for start in range(0, len(partitions), TAKE_AT_ONCE):
            if self._leaving.is_set():
                return
            taken = await self._services.workers.take_over(self._services.ownership.incarnation, partitions[start : start + TAKE_AT_ONCE])
            await self._partitions.take(taken)
            await self._renew()

    async def _give(self, mine: Iterable[PartitionOwner], live: Sequence[UUID]) -> None:
        theirs = [
            h.partition
            for h in mine
            if h.held_seconds > SETTLED_SECONDS and _belongs_to(h.partition, live) != self._services.ownership.incarnation
        ]
        busy = self._partitions.placing(theirs)
        await self._give_back([partition for partition in theirs if partition not in busy][:GIVE_AT_ONCE])

    async def _give_back(self, partitions: Sequence[int]) -> None:
        if partitions:
            self._partitions.leave(partitions)
            await self._services.workers.give_back(self._services.ownership.incarnation, partitions)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._leaving.wait()
        except TimeoutError:
            pass


def _belongs_to(partition: int, live: Sequence[UUID]) -> UUID | None:
    """Rendezvous hashing (Thaler and Ravishankar, 1996): of all live workers the one with the highest score."""
    return max(live, key=lambda incarnation: hashlib.blake2b(incarnation.bytes + partition.to_bytes(2)).digest(), default=None)
