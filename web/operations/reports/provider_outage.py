"""Finds out whether a run is waiting for the provider: the circuit breaker of its account is open, and will close by itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from dialer.model import RunStatus
from dialer.streams.client import RedisUnavailableError
from web.server import keys

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp import web as http

    from dialer.clock import Clock
    from dialer.streams.client import Outage, Streams
    from sql.runs.runs import Run

# A page waits no longer than this for Redis.
WAIT_SECONDS: Final = 0.05
# After Redis has failed to respond, it is not queried again for this long.
AWAY_SECONDS: Final = 1.0
MAX_READS: Final = 32


class OutageReader:
    """Reads the outages of accounts, with one read per account at a time; when Redis hangs, no request is delayed for longer than 50 ms."""

    def __init__(self, streams: Streams, clock: Clock) -> None:
        """Use with `async with`."""
        self._streams = streams
        self._clock = clock
        self._reads: dict[str, tuple[float, asyncio.Task[Outage | None]]] = {}
        self._away_until = 0.0
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Start accepting reads."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for the reads in flight, which take at most a second."""
        await self._tasks.__aexit__(None, None, None)

    async def outage(self, account_sid: str) -> Outage | None:
        """The outage of this account; None when there is none, or when Redis does not respond in time."""
        now = self._clock.boot()
        if account_sid not in self._reads:
            if now < self._away_until or len(self._reads) >= MAX_READS:
                return None
            self._reads[account_sid] = (now, self._tasks.create_task(self._read(account_sid)))
        began, reading = self._reads[account_sid]
        await asyncio.wait({reading}, timeout=max(began + WAIT_SECONDS - now, 0))
        return reading.result() if reading.done() and not reading.cancelled() else None

    async def _read(self, account_sid: str) -> Outage | None:
        try:
            return await self._streams.outage(account_sid)
        except RedisUnavailableError:
            self._away_until = self._clock.boot() + AWAY_SECONDS
            return None
        finally:
            del self._reads[account_sid]


async def provider_waited_for_since(app: http.Application, run: Run) -> datetime | None:
    """When calls of this run stopped because the provider rejects them or cannot be reached; None when they have not.

    Also None while Redis, which stores that time, is unavailable.
    """
    return await provider_away_since(app, run.business_id) if run.status is RunStatus.RUNNING else None


async def provider_away_since(app: http.Application, business_id: int) -> datetime | None:
    """The same for the account of a business, whether or not it has runs."""
    business = await app[keys.BUSINESSES].get(business_id)
    account_sid = app[keys.ACCOUNTS].sid_of(business.account_sid if business else None)
    outage = await app[keys.OUTAGES].outage(account_sid)
    return datetime.fromtimestamp(outage.since, UTC) if outage else None
