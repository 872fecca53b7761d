"""Follows a run to its end: events trigger an update at once, and the API is polled for the authoritative state."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from ringmaster.demo.client import ApiError
from ringmaster.errors import CommandError, single

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.clock import Clock
    from ringmaster.demo.client import ApiClient
    from ringmaster.demo.run_view import RunView

DRAW_SECONDS: Final = 0.1  # at least between two updates of the display
POLL_SECONDS: Final = 1.0  # between two requests for the state of the run
RECONNECT_SECONDS: Final = 0.5  # between two connections to the stream of events
DRAIN_SECONDS: Final = 3.0  # for the last events after the run has ended
SERVER_ERROR: Final = 500


class Follower:
    """Updates `view` until its run has ended, calling `changed` when there may be something new.

    A run without any change, or an API without any response, for `stall_seconds` counts as stalled.
    """

    def __init__(self, api: ApiClient, view: RunView, clock: Clock, changed: Callable[[], None], stall_seconds: float) -> None:
        self._api = api
        self._view = view
        self._clock = clock
        self._changed = changed
        self._stall_seconds = stall_seconds
        self._event_received = asyncio.Event()

    async def follow(self) -> None:
        """Follow the run to its end.

        Raises:
            CommandError: when it stalls, or the API answers with an error.
        """
        async with single(), asyncio.TaskGroup() as group:
            reader = group.create_task(self._read_events())
            await self._poll_until_over()
            await asyncio.wait([reader], timeout=DRAIN_SECONDS)
            reader.cancel()
        self._changed()

    async def _read_events(self) -> None:
        last_event_id = ""
        while not self._view.end_seen:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with aclosing(self._api.events(self._view.run_id, last_event_id)) as events:
                    async for event in events:
                        last_event_id = event.id or last_event_id
                        self._view.apply(event)
                        self._event_received.set()
            if not self._view.end_seen:
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _poll_until_over(self) -> None:
        stall = _StallTimer(self._clock.boot())
        polled_at = -POLL_SECONDS
        while True:
            now = self._clock.boot()
            # Events are best effort: only the API decides that the run has ended.
            if self._view.over or now - polled_at >= POLL_SECONDS:
                polled_at = now
                await self._poll()
                if self._view.over:
                    return
            self._changed()
            if stall.seconds(self._view, now) > self._stall_seconds:
                message = f"{self._view.name}: nothing has changed for {self._stall_seconds:.0f} s: {_counts(self._view)}"
                raise CommandError(message)
            await asyncio.sleep(DRAW_SECONDS)
            await self._wait_for_event()

    async def _wait_for_event(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._event_received.wait()
        self._event_received.clear()

    async def _poll(self) -> None:
        """Read the state of the run; if the API is not available, the next poll tries again."""
        try:
            self._view.update(await self._api.run(self._view.run_id))
        except ApiError as error:
            if error.status < SERVER_ERROR:
                raise
        except (aiohttp.ClientError, TimeoutError):
            pass


@dataclass(slots=True)
class _StallTimer:
    """Measures how long a run has not changed."""

    since: float
    last: tuple[object, ...] = ()

    def seconds(self, view: RunView, now: float) -> float:
        """The seconds since the last change."""
        state = (view.status, *view.counts.values())
        if state != self.last:
            self.since, self.last = now, state
        return now - self.since


def _counts(view: RunView) -> str:
    return f"{view.status}, " + ", ".join(f"{count} {name}" for name, count in view.counts.items())
