"""Lets PostgreSQL decide what waits in the inbox, and tells the owners.

In the order of the stream for one business, and a few businesses at a time: each turn is bounded, a business that is locked waits aside,
and one statement that takes long delays nobody else.

On the road of a call: beside 1. Another service takes this door instead of the button.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.aside import Aside
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.services import Services
    from actors.tasks import Tasks
    from sql.commands.commands import AppliedCommand

# So many businesses at a time, each with one connection to PostgreSQL.
DECIDED_AT_ONCE = 3
# What another worker has received is found after this.
POLL_SECONDS = 1.0
AWAY_SECONDS = 1.0
BUSY_SECONDS = 0.005
LONGEST_BUSY_SECONDS = 0.5
# A business rests this long after an error that concerns it alone.
PARKED_SECONDS = 30.0

log = logging.getLogger(__name__)


class CommandDecider:
    """Gives each business with commands in the inbox its turn."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        """Each turn is one of `tasks`."""
        self._services = services
        self._tasks = tasks
        self._rung = asyncio.Event()
        self._closed = False
        self._deciding: set[int] = set()
        self._aside = Aside(services.clock, first_seconds=BUSY_SECONDS, longest_seconds=LONGEST_BUSY_SECONDS)
        # Turns of each business since it began to wait: with few places, the one with the fewest comes first.
        self._turns: dict[int, int] = {}

    def ring(self) -> None:
        """Something is in the inbox."""
        self._rung.set()

    def close(self) -> None:
        """Decide no more; what is in the inbox stays there for another worker."""
        self._closed = True
        self._rung.set()

    async def run(self) -> None:
        """Give turns until closed."""
        while not self._closed:
            self._rung.clear()
            try:
                await self._give_turns()
            except DatabaseUnavailableError as error:
                log.warning("commands in the inbox wait: %s", error)
                await asyncio.sleep(AWAY_SECONDS)
            pause = self._aside.next_in()
            try:
                async with asyncio.timeout(POLL_SECONDS if pause is None else min(pause, POLL_SECONDS)):
                    await self._rung.wait()
            except TimeoutError:
                pass

    async def _give_turns(self) -> None:
        places = DECIDED_AT_ONCE - len(self._deciding)
        if places <= 0:
            return
        waiting = await self._services.commands.waiting([*self._aside.keys(), *self._deciding])
        self._turns = {business_id: self._turns.get(business_id, 0) for business_id in (*waiting, *self._deciding)}
        for business_id in sorted(waiting, key=lambda b: self._turns[b])[:places]:
            self._turns[business_id] += 1
            self._deciding.add(business_id)
            self._tasks.spawn(self._turn(business_id))

    async def _turn(self, business_id: int) -> None:
        try:
            applied, is_busy = await self._services.commands.apply_received(business_id)
        except DatabaseUnavailableError as error:
            log.warning("commands of business %d wait: %s", business_id, type(error).__name__)
            self._aside.put(business_id, AWAY_SECONDS)
        except Exception:
            log.exception("commands of business %d cannot be decided", business_id)
            self._aside.put(business_id, PARKED_SECONDS)
        else:
            if is_busy:
                self._aside.put(business_id)
            else:
                self._aside.clear(business_id)
            for one in applied:
                await self._tell(one)
            self._services.relay.kick()
        finally:
            self._deciding.discard(business_id)
            self.ring()

    async def _tell(self, applied: AppliedCommand) -> None:
        answer = applied.answer
        if answer.foreign:
            hint = applied.hint
            log.warning("[SECURITY] a command for business %d names run %d of another business", hint.business_id, hint.run_id)
        if answer.accepted and answer.partition is not None:
            await self._services.streams.send_hint(answer.partition, applied.hint)
