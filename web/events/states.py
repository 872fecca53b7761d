"""Reads the state that listeners are sent: at most one read a business at a time, of all the runs its listeners watch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from dialer.streams.client import RedisUnavailableError
from sql.errors import DatabaseUnavailableError
from web.server.shared_read import SharedRead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dialer.streams.client import Streams
    from sql.jobs.jobs import Job, Jobs
    from sql.runs.runs import Run, Runs
    from web.events.fanout import Fanout

# The newest of a business's runs that have not ended; a reset says when there are more.
MAX_ACTIVE_RUNS: Final = 200
# The other connections of the pool are for requests.
READS_AT_ONCE: Final = 3


class UnreadableError(Exception):
    """PostgreSQL is unavailable; the read may be retried."""


@dataclass(frozen=True, slots=True)
class BusinessState:
    """The state of the watched runs of a business.

    It includes everything up to the entry `newest` of dialer:events, which is None while Redis is unavailable. `active` is empty unless
    the business as a whole is watched; `calls` are run_id and job of every call on the line of the business.
    """

    newest: str | None
    runs: Mapping[int, Run]
    active: Sequence[Run]
    more_active: bool
    calls: Sequence[tuple[int, Job]]


class LiveStates:
    """The reads of all businesses: at most one in flight a business, and a few in all."""

    def __init__(self, fanout: Fanout, streams: Streams, runs: Runs, jobs: Jobs) -> None:
        """`fanout` knows which runs are watched."""
        self._fanout = fanout
        self._streams = streams
        self._runs = runs
        self._jobs = jobs
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        # A shared read lives as long as a listener holds it.
        self._of_business: WeakValueDictionary[int, SharedRead[BusinessState]] = WeakValueDictionary()

    def of(self, business_id: int) -> SharedRead[BusinessState]:
        """The read of a business, which raises UnreadableError. It includes a run whose listener joined the fan-out before."""
        read = self._of_business.get(business_id)
        if read is None:
            read = self._of_business[business_id] = SharedRead(lambda: self._read(business_id))
        return read

    async def _read(self, business_id: int) -> BusinessState:
        # First the id, then the state: an event is published after its change was committed, so the state includes everything up to the id.
        newest = await self._newest()
        run_ids, whole = self._fanout.watched(business_id)
        try:
            async with self._reads:
                runs = await self._runs.some(business_id, run_ids) if run_ids else []
                active = await self._runs.active(business_id, MAX_ACTIVE_RUNS + 1) if whole else []
                calls = await self._jobs.on_every_line(business_id)
        except DatabaseUnavailableError as error:
            raise UnreadableError(type(error).__name__) from error
        return BusinessState(newest, {run.run_id: run for run in runs}, active[:MAX_ACTIVE_RUNS], len(active) > MAX_ACTIVE_RUNS, calls)

    async def _newest(self) -> str | None:
        if self._fanout.away:
            return None
        try:
            _, newest = await self._streams.event_window()
        except RedisUnavailableError:
            return None
        return newest
