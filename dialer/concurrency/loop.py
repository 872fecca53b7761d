"""The loop of a long-lived duty: runs a step again and again, on a bell or after a pause, and outlives an outage of PostgreSQL or Redis."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class UnavailableError(Exception):
    """A server that we need does not answer; the same request may succeed later."""


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until `event` is set, for at most `seconds` (None: without limit); False when the time ran out."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Loop:
    """Runs `step` until closed: at once, then each time the bell rings or the pause is over."""

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[None]],
        *,
        pause: float | Callable[[], float | None] | None,
        rest_seconds: float = 0.0,
        retry_seconds: float = 0.0,
    ) -> None:
        """`pause` is how many seconds to wait for the bell after a step (None: without limit), or a function that returns it.

        Before that the loop rests, whatever rings: `rest_seconds` after each step, so that many rings make one step, and `retry_seconds`
        after one that found a server unavailable.
        """
        self.name = name
        self._step = step
        self._pause = pause
        self._rest_seconds = rest_seconds
        self._retry_seconds = retry_seconds
        self._bell = asyncio.Event()
        self._closing = asyncio.Event()
        # Why the last step failed: an outage is logged once, not at each attempt.
        self._failure = ""

    @property
    def closed(self) -> bool:
        """True once closed: a long step should end early."""
        return self._closing.is_set()

    @property
    def trouble(self) -> str:
        """Why the last step failed: the server that was unavailable; "" after one that did not fail."""
        return self._failure

    def ring(self) -> None:
        """Run the next step now; during a step: once more after it."""
        self._bell.set()

    def close(self) -> None:
        """Stop after the step in progress."""
        self._closing.set()
        self._bell.set()

    async def run(self) -> None:
        """Run steps until closed; an error other than `UnavailableError` ends the loop, and it may be run again."""
        while not self.closed:
            self._bell.clear()
            rest = self._rest_seconds
            try:
                await self._step()
            except UnavailableError as error:
                rest = max(rest, self._retry_seconds)
                self._failed(f"{type(error).__name__}: {error}")
            else:
                self._succeeded()
            await self._wait(rest)

    async def _wait(self, rest: float) -> None:
        if rest:
            await wait_for_event(self._closing, rest)
        pause = self._pause() if callable(self._pause) else self._pause
        if pause is None or pause > 0:
            await wait_for_event(self._bell, pause)

    def _failed(self, reason: str) -> None:
        if reason != self._failure:
            log.warning("%s: retrying after an error: %s", self.name, reason)
        self._failure = reason

    def _succeeded(self) -> None:
        if self._failure:
            log.info("%s: working again", self.name)
        self._failure = ""
