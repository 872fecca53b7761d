"""The line of one call: its waits, which a hang-up or a new script cuts short, and the keys the person presses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from telephony.simulator.voice.sources import Source


class Line:
    """The waits and the keys of one call; `speed` simulated seconds pass in a real one."""

    def __init__(self, speed: float) -> None:
        self.hung_up = False
        self.speed = speed
        self._replacement: Source | None = None
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._scope: asyncio.Timeout | None = None

    def hang_up(self) -> None:
        """End the current wait, and every later one immediately."""
        if not self.hung_up:
            self._interrupt()
        self.hung_up = True

    def replace(self, source: Source) -> None:
        """End the current wait; the call goes on with another script."""
        self._replacement = source
        self._interrupt()

    def replacement(self) -> Source | None:
        """The script that replaces the current one, once."""
        source, self._replacement = self._replacement, None
        return None if self.hung_up else source

    def press(self, keys: str) -> None:
        """Press keys; they wait until something listens."""
        for key in keys:
            self._keys.put_nowait(key)

    async def key(self, seconds: float) -> str | None:
        """The next key, or None when there is none within so many simulated seconds."""
        try:
            async with asyncio.timeout(seconds / self.speed):
                return await self._keys.get()
        except TimeoutError:
            return None

    async def wait(self, seconds: float) -> bool:
        """Wait so many simulated seconds; True when the call was hung up before or meanwhile."""
        return await self.wait_for(asyncio.sleep(seconds / self.speed))

    async def wait_for(self, work: Awaitable[object], at_most: float | None = None) -> bool:
        """Wait for `work`, at most so many simulated seconds, or until the call is hung up or its script replaced; True when hung up."""
        limit = None if at_most is None else max(0.0, at_most / self.speed)
        try:
            async with asyncio.timeout(0 if self.hung_up else limit) as self._scope:
                await work
        except TimeoutError:
            # The only time-out that leaves `work` is ours: it was cancelled.
            if self._scope is None or not self._scope.expired():
                raise
        finally:
            self._scope = None
        return self.hung_up

    def _interrupt(self) -> None:
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())
