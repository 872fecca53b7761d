"""A duty that is done in rounds: again and again with a pause, whatever one round meets.

On the road of a call: not on it; what runs beside the road is written as rounds.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

log = logging.getLogger(__name__)


class PeriodicDuty:
    """Does one thing every few seconds until closed."""

    def __init__(self, name: str, seconds: float, step: Callable[[], Coroutine[None, None, None]]) -> None:
        """`step` is one round, `seconds` the pause after it, `name` what the log says of it."""
        self.name = name
        self._seconds = seconds
        self._step = step
        self._closing = asyncio.Event()

    @property
    def closed(self) -> bool:
        """True when this worker stops: a long step ends early."""
        return self._closing.is_set()

    def close(self) -> None:
        """Stop after the step at hand."""
        self._closing.set()

    async def run(self) -> None:
        """Go round until closed; with PostgreSQL away the next round tries again."""
        while not self.closed:
            try:
                await self._step()
            except DatabaseUnavailableError as error:
                log.warning("%s: %s", self.name, error)
            try:
                async with asyncio.timeout(self._seconds):
                    await self._closing.wait()
            except TimeoutError:
                pass
