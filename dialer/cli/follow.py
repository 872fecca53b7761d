"""Follows a run to its end: its events ring the bell, the API says how it stands.

Beside the road of a call: at its far end, where a person looks on.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import aiohttp

from dialer.cli.api import ApiError
from dialer.cli.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.cli.api import Api
    from dialer.cli.watched import Watched
    from dialer.ports import Clock

LOOK_SECONDS: Final = 0.25  # at least between two looks
UNRUNG_SECONDS: Final = 1.0  # at most between two looks, without an event
AGAIN_SECONDS: Final = 0.5  # between two connections to the stream of events
LAST_WORDS_SECONDS: Final = 3.0  # what is left to hear when the run is over
SERVER_ERROR: Final = 500


class Follower:
    """Looks at one run until it is over, calling `changed` after each look.

    `still_seconds` without any change, or without any answer, are taken for a standstill.
    """

    def __init__(self, api: Api, watched: Watched, clock: Clock, changed: Callable[[], None], still_seconds: float) -> None:
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
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen())
            await self._look_on()
            await asyncio.wait([listening], timeout=LAST_WORDS_SECONDS)
            listening.cancel()
        self._changed()

    async def _listen(self) -> None:
        heard = ""
        while not self._watched.end_seen:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with aclosing(self._api.events(self._watched.run_id, heard)) as events:
                    async for event in events:
                        heard = event.id or heard
                        self._watched.hear(event)
                        self._bell.set()
            if not self._watched.end_seen:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _look_on(self) -> None:
        changed_at, before = self._clock.boot(), None
        while True:
            await self._look()
            self._changed()
            if self._watched.over:
                return
            now = (self._watched.status, *self._watched.counts.values())
            if now != before:
                changed_at, before = self._clock.boot(), now
            elif self._clock.boot() - changed_at > self._still_seconds:
                message = f"{self._watched.name}: nothing has changed for {self._still_seconds:.0f} s: {self._standing()}"
                raise RefusalError(message)
            await asyncio.sleep(LOOK_SECONDS)
            await self._rung()

    async def _rung(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNRUNG_SECONDS):
                await self._bell.wait()
        self._bell.clear()

    async def _look(self) -> None:
        """Ask how the run stands; an API that is away for a moment is asked again at the next look."""
        try:
            self._watched.see(await self._api.run(self._watched.run_id), await self._api.on_the_line(self._watched.run_id))
        except ApiError as error:
            if error.status < SERVER_ERROR:
                raise
        except (aiohttp.ClientError, TimeoutError):
            pass

    def _standing(self) -> str:
        return f"{self._watched.status}, " + ", ".join(f"{count} {name}" for name, count in self._watched.counts.items())
