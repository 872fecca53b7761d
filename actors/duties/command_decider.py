"""Lets PostgreSQL decide the commands in the inbox, and notifies the owners of the businesses.

Commands of one business are decided in the order of the stream, and a few businesses at a time: each turn is bounded, a business whose
rows are locked is postponed, and one slow statement delays no other business.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from actors import worker_spans
from actors.backoff import Backoff
from dialer.concurrency.loop import Loop
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from actors.services import Services
    from dialer.concurrency.tasks import Tasks
    from sql.commands.commands import AppliedCommand

# So many businesses at a time, each with one connection to PostgreSQL.
BUSINESSES_AT_ONCE = 3
# Commands that another worker has received, and did not live to decide, are found after this.
POLL_SECONDS = 1.0
RETRY_SECONDS = 1.0
BUSY_SECONDS = 0.005
LONGEST_BUSY_SECONDS = 0.5
# A business is postponed this long after an error that concerns it alone.
PARKED_SECONDS = 30.0

log = logging.getLogger(__name__)


class CommandDecider:
    """Gives each business with commands in the inbox its turn; ring its `loop` when commands have come in."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        """Each turn is one of `tasks`."""
        self._services = services
        self._tasks = tasks
        self._deciding: set[int] = set()
        self._backoff = Backoff(services.clock, first_seconds=BUSY_SECONDS, longest_seconds=LONGEST_BUSY_SECONDS)
        # Turns of each business since it began to wait: with few places, the one with the fewest comes first.
        self._turns: dict[int, int] = {}
        self.loop = Loop("command inbox", self._start_turns, pause=self._pause, retry_seconds=RETRY_SECONDS)

    def _pause(self) -> float:
        pause = self._backoff.next_in()
        return POLL_SECONDS if pause is None else min(pause, POLL_SECONDS)

    async def _start_turns(self) -> None:
        places = BUSINESSES_AT_ONCE - len(self._deciding)
        if places <= 0:
            return
        waiting = await self._services.commands.waiting([*self._backoff.postponed(), *self._deciding])
        self._turns = {business_id: self._turns.get(business_id, 0) for business_id in (*waiting, *self._deciding)}
        for business_id in sorted(waiting, key=lambda b: self._turns[b])[:places]:
            self._turns[business_id] += 1
            self._deciding.add(business_id)
            self._tasks.spawn(self._take_turn(business_id))

    async def _take_turn(self, business_id: int) -> None:
        try:
            await self._decide(business_id)
        except DatabaseUnavailableError as error:
            log.warning("commands of business %d are postponed: %s", business_id, type(error).__name__)
            self._backoff.postpone(business_id, RETRY_SECONDS)
        except Exception:
            log.exception("commands of business %d cannot be decided; retrying in %.0f s", business_id, PARKED_SECONDS)
            self._backoff.postpone(business_id, PARKED_SECONDS)
        finally:
            self._deciding.discard(business_id)
            self.loop.ring()

    async def _decide(self, business_id: int) -> None:
        began = self._services.clock.now()
        applied, is_busy = await self._services.commands.apply_received(business_id)
        if is_busy:
            self._backoff.postpone(business_id)
        else:
            self._backoff.reset(business_id)
        worker_spans.commands_decided(self._services, applied, began)
        for command in applied:
            await self._notify_owner(command)
        self._services.relay.kick()

    async def _notify_owner(self, applied: AppliedCommand) -> None:
        answer = applied.answer
        if answer.foreign:
            hint = applied.hint
            log.warning("[SECURITY] a command for business %d names run %d of another business", hint.business_id, hint.run_id)
        if answer.accepted and answer.partition is not None:
            await self._services.streams.send_hint(answer.partition, applied.hint)
