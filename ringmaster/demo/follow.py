"""Follows a run to its end: its events ring the bell, the API has the last word on how it stands.

Beside the road of a call: at its far end, where a person looks on.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from ringmaster.demo.client import ApiError
from ringmaster.refusal import RefusalError, single

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.clock import Clock
    from ringmaster.demo.client import ApiClient
    from ringmaster.demo.run_view import RunView

DRAW_SECONDS: Final = 0.1  # at least between two pictures
LOOK_SECONDS: Final = 1.0  # between two looks at what the API says, besides the events
AGAIN_SECONDS: Final = 0.5  # between two connections to the stream of events
LAST_WORDS_SECONDS: Final = 3.0  # what is left to hear when the run is over
SERVER_ERROR: Final = 500


class Follower:
    """Looks at one run until it is over, calling `changed` when there may be something new.

    `still_seconds` without any change, or without any answer, are taken for a standstill.
    """

    def __init__(self, api: ApiClient, watched: RunView, clock: Clock, changed: Callable[[], None], still_seconds: float) -> None:
        self._api = api
        self._watched = watched
        self._clock = clock
        self._changed = changed
        self._still_seconds = still_seconds
        self._bell = asyncio.Event()

    async def follow(self) -> None:
        """Follow the run to its end.

        Raises:
            RefusalError: when it stands still, or the API refuses.
        """
        async with single(), asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen())
            await self._look_on()
            await asyncio.wait([listening], timeout=LAST_WORDS_SECONDS)
            listening.cancel()
        self._changed()

    async def _listen(self) -> None:
        last_event_id = ""
        while not self._watched.end_seen:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with aclosing(self._api.events(self._watched.run_id, last_event_id)) as events:
                    async for event in events:
                        last_event_id = event.id or last_event_id
                        self._watched.apply(event)
                        self._bell.set()
            if not self._watched.end_seen:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _look_on(self) -> None:
        standing = _Standing(self._clock.boot())
        looked_at = -LOOK_SECONDS
        while True:
            now = self._clock.boot()
            # The events are best effort: what ends this is what the API says.
            if self._watched.over or now - looked_at >= LOOK_SECONDS:
                looked_at = now
                await self._look()
                if self._watched.over:
                    return
            self._changed()
            if standing.still(self._watched, now) > self._still_seconds:
                message = f"{self._watched.name}: nothing has changed for {self._still_seconds:.0f} s: {_said(self._watched)}"
                raise RefusalError(message)
            await asyncio.sleep(DRAW_SECONDS)
            await self._rung()

    async def _rung(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._bell.wait()
        self._bell.clear()

    async def _look(self) -> None:
        """Ask how the run stands; an API that is away for a moment is asked again at the next look."""
        try:
            self._watched.see(await self._api.run(self._watched.run_id))
        except ApiError as error:
            if error.status < SERVER_ERROR:
                raise
        except (aiohttp.ClientError, TimeoutError):
            pass


@dataclass(slots=True)
class _Standing:
    """Since when a run has stood as it does."""

    since: float
    counts: tuple[object, ...] = ()

    def still(self, watched: RunView, now: float) -> float:
        """For how many seconds nothing has changed."""
        counts = (watched.status, *watched.counts.values())
        if counts != self.counts:
            self.since, self.counts = now, counts
        return now - self.since


def _said(watched: RunView) -> str:
    return f"{watched.status}, " + ", ".join(f"{count} {name}" for name, count in watched.counts.items())
