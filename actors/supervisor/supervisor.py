"""Drives the businesses of this worker's partitions: takes and leaves partitions, and joins router, registry and effects.

`router.py` gets the messages, `business.py` decides, `effects.py` acts, and `registry.py` knows which businesses and calls there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.calls.excess_calls import ExcessCalls
from actors.calls.live_calls import LiveCalls
from actors.dispatch.run_pauser import RunPauser
from actors.supervisor.effects import EffectRunner
from actors.supervisor.router import Router
from actors.supervisor.stalls import StallReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.restarts import DutySupervisor
    from actors.services import Services
    from dialer.concurrency.loop import Loop
    from dialer.concurrency.tasks import Tasks


class BusinessSupervisor:
    """The businesses and calls of one worker."""

    def __init__(self, services: Services, tasks: Tasks, duties: DutySupervisor, publish: Callable[[int, int], None]) -> None:
        """`tasks` runs the calls, `duties` the dispatchers; `publish` gets the business and the run that has changed."""
        self._services = services
        pauser = RunPauser(services, tasks)
        excess = ExcessCalls(services, tasks)
        stalls = StallReporter(services, lambda: (entry.business_id for entry in self._registry.claiming()), self._paced_since)
        self._effects = EffectRunner(services, tasks, duties, stalls, pauser, publish, self._poll)
        self._registry = self._effects.registry
        self._router = Router(services, tasks, self._effects, pauser, excess)
        live = LiveCalls(services, self._registry.calls, tasks)
        # The worker cannot do without the first; without the others, only lost callbacks and second calls are noticed later.
        self.critical_loops: tuple[Loop, ...] = (self._router.hints, self._router.polls, stalls.loop)
        self.isolated_loops: tuple[Loop, ...] = (live.loop, excess.loop)

    async def take(self, epochs: dict[int, int]) -> None:
        """Drive these partitions from now on, and adopt the calls that the last owner left; `epochs` by partition.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
        """
        start = await self._services.streams.start_of_hints()
        self._services.ownership.epochs.update(epochs)
        self._router.add(epochs, start)
        await self._router.poll_once(list(epochs))

    @property
    def calls(self) -> int:
        """How many calls are placed or followed here."""
        return len(self._registry.calls)

    @property
    def paced(self) -> tuple[int, float]:
        """How many businesses wait for a permit of their account, and for how many seconds the first of them has."""
        since = list(self._paced_since().values())
        return len(since), self._services.clock.boot() - min(since) if since else 0.0

    @property
    def accounts_paused(self) -> int:
        """How many accounts place no calls now, since the provider does not take them."""
        return self._effects.dispatchers.paused()

    def _paced_since(self) -> dict[int, float]:
        return self._effects.dispatchers.paced_since()

    async def _poll(self, partitions: list[int]) -> None:
        await self._router.poll_once(partitions)

    def leave(self, partitions: Iterable[int]) -> None:
        """Drive these no more. Their calls go on; a POST in flight is finished and recorded, since a fact needs no fence."""
        left = list(partitions)
        for partition in left:
            self._services.ownership.epochs.pop(partition, None)
        self._router.remove(left)
        for entry in self._registry.within(left):
            self._registry.drop(entry.business_id)

    def polled_since(self, moment: float) -> list[int]:
        """The businesses that leads are claimed for, and that PostgreSQL has reported as active since `moment` (boot clock)."""
        return self._registry.polled_since(moment)

    def placing(self, partitions: Iterable[int]) -> set[int]:
        """Those of these partitions with a POST in flight."""
        return self._registry.placing() & set(partitions)

    def close(self) -> None:
        """Claim no more leads, and read no more hints."""
        for loop in (*self.critical_loops, *self.isolated_loops):
            loop.close()
        self._effects.close()
