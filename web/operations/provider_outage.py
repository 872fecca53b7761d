"""Says whether a run waits for the telephone company: its account's gate is shut, and opens by itself.

On the road of a call: beside 3; what a person sees of a gate.
"""

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
# Redis that did not answer is not asked again so soon.
AWAY_SECONDS: Final = 1.0
MAX_READS: Final = 32


class OutageReader:
    """Reads whether an account's gate is shut, one read an account at a time, and lets nobody wait for a Redis that hangs."""

    def __init__(self, streams: Streams, clock: Clock) -> None:
        """Begin with `async with`."""
        self._streams = streams
        self._clock = clock
        self._reads: dict[str, tuple[float, asyncio.Task[Outage | None]]] = {}
        self._away_until = 0.0
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Be ready to read."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for the reads in progress, which take a second at most."""
        await self._tasks.__aexit__(None, None, None)

    async def outage(self, account_sid: str) -> Outage | None:
        """Why this account waits, or None: when it does not, and when Redis cannot say so soon."""
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


async def provider_waited_for_since(request: http.Request, run: Run) -> datetime | None:
    """Since when no call of this run is placed because the provider refuses or cannot be reached; None when it does neither.

    With Redis away nobody can tell; None then too.
    """
    if run.status is not RunStatus.RUNNING:
        return None
    business = await request.app[keys.BUSINESSES].get(run.business_id)
    default = request.app[keys.SETTINGS].twilio_account_sid
    sid = business.account_sid if business and business.account_sid else default
    shut = await request.app[keys.OUTAGES].outage(sid)
    return datetime.fromtimestamp(shut.since, UTC) if shut else None
