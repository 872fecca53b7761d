"""Hangs up the second calls of attempts, and asks for them until they are over.

An attempt has one call. Another one with its reference is told by a callback, or by the answer to a POST; nobody may have it, it holds no
slot, and no attempt stands for it.

On the road of a call: beside 6, when the provider has made two calls of one request.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from actors.calls.reconciler import hang_up
from dialer.model import AttemptState
from dialer.sealing import BrokenSealError
from sql.errors import DatabaseUnavailableError
from telephony.provider import CallFacts, NoSuchCall
from telephony.twilio.callbacks import STATES

if TYPE_CHECKING:
    from actors.services import Services
    from actors.tasks import Tasks
    from sql.attempts.attempts import ExcessCall
    from telephony.provider import Account

ROUND_SECONDS = 5.0
# Rings within this time start one round, not many.
SHORTEST_ROUND_SECONDS = 0.5

log = logging.getLogger(__name__)


class ExcessCalls:
    """The second calls of this worker's businesses."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        """`tasks` runs the ending of each; the calls of one business do not wait for those of another."""
        self._services = services
        self._tasks = tasks
        self._ending: set[str] = set()
        self._rung = asyncio.Event()
        self._closed = False
        # When (boot clock) the provider first did not know a call.
        self._missing: dict[str, float] = {}

    def kick(self) -> None:
        """Start a round now: a second call may just have been reported."""
        self._rung.set()

    def close(self) -> None:
        """Stop; the next owner goes on."""
        self._closed = True
        self._rung.set()

    async def run(self) -> None:
        """Hang up and ask in rounds until closed."""
        while not self._closed:
            try:
                await self.round()
            except DatabaseUnavailableError as error:
                log.warning("%s", error)
            await asyncio.sleep(SHORTEST_ROUND_SECONDS)
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._rung.wait()
            except TimeoutError:
                pass
            self._rung.clear()

    async def round(self) -> None:
        """Begin to hang up every one that is not over.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
        """
        partitions = list(self._services.ownership.epochs)
        calls = await self._services.attempts.excess_calls(partitions) if partitions else []
        self._missing = {sid: since for sid, since in self._missing.items() if sid in {call.sid for call in calls}}
        for call in calls:
            if call.sid not in self._ending:
                self._ending.add(call.sid)
                self._tasks.spawn(self._end(call))

    async def _end(self, call: ExcessCall) -> None:
        try:
            await self._hang_up_and_ask(call)
        except DatabaseUnavailableError:
            # The next round asks again.
            pass
        finally:
            self._ending.discard(call.sid)

    async def _hang_up_and_ask(self, call: ExcessCall) -> None:
        account = self._services.accounts.of(call.business_id, call.account_sid) or await self._read_account(call)
        if account is None:
            log.error("a second call of attempt %d goes on: the credentials of its account are not known here", call.attempt_id)
            return
        await hang_up(self._services, account, call.business_id, call.sid)
        async with self._services.asking.turn(call.business_id):
            facts = await self._services.provider.fetch(account, call.sid)
        if self._is_over(call.sid, facts):
            await self._services.attempts.excess_over(call.business_id, call.sid)

    async def _read_account(self, call: ExcessCall) -> Account | None:
        """A business that has nothing to do is not driven, and its account not read; it may be the one that placed the call."""
        driven = await self._services.workers.business(call.business_id)
        if driven is not None:
            with suppress(BrokenSealError):
                self._services.accounts.account(driven.business_id, driven.account_sid, driven.auth_token_sealed)
        return self._services.accounts.of(call.business_id, call.account_sid)

    def _is_over(self, sid: str, facts: CallFacts | NoSuchCall | None) -> bool:
        """A call that the provider does not know for longer than one can last is over too."""
        if not isinstance(facts, NoSuchCall):
            self._missing.pop(sid, None)
            return facts is not None and STATES.get(facts.status) is AttemptState.OVER
        now, rules = self._services.clock.boot(), self._services.policy
        return now - self._missing.setdefault(sid, now) > rules.ring_seconds + rules.limit_seconds + rules.lag_seconds
