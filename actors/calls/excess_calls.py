"""Hangs up the second calls of attempts, and checks each until it has ended.

An attempt has one call. When the provider makes two calls for one request, a callback or the response to the POST reports the second call
with the same reference. A second call holds no slot and has no attempt of its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from actors.calls.call_account import account_of
from actors.calls.reconciler import hang_up
from dialer.concurrency.loop import Loop
from dialer.log import about
from dialer.model import AttemptState
from sql.errors import DatabaseUnavailableError
from telephony.provider import CallFacts, NoSuchCall
from telephony.twilio.callbacks import STATES

if TYPE_CHECKING:
    from actors.services import Services
    from dialer.concurrency.tasks import Tasks
    from sql.attempts.attempts import ExcessCall

PAUSE_SECONDS = 5.0
# When the bell rings several times within this time, one round is started.
REST_SECONDS = 0.5

log = logging.getLogger(__name__)


class ExcessCalls:
    """Ends the second calls of this worker's businesses; ring `loop` when one may have been reported."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        """Each second call is hung up in its own task, started in `tasks`, so that no business waits for another."""
        self._services = services
        self._tasks = tasks
        self._ending: set[str] = set()
        # By sid: when (boot clock) the provider first reported that it has no such call.
        self._missing: dict[str, float] = {}
        self.loop = Loop("second calls", self.round, pause=PAUSE_SECONDS, rest_seconds=REST_SECONDS)

    async def round(self) -> None:
        """Start to hang up every second call that has not ended.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
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
            with about(business_id=call.business_id, attempt_id=call.attempt_id, sid=call.sid):
                await self._hang_up_and_check(call)
        except DatabaseUnavailableError:
            # The next round tries again.
            pass
        finally:
            self._ending.discard(call.sid)

    async def _hang_up_and_check(self, call: ExcessCall) -> None:
        account = await account_of(self._services, call.business_id, call.account_sid)
        if account is None:
            log.error("a second call of attempt %d cannot be hung up: the credentials of its account are not known here", call.attempt_id)
            return
        await hang_up(self._services, account, call.business_id, call.sid)
        async with self._services.fetch_limit.hold(call.business_id):
            facts = await self._services.provider.fetch(account, call.sid)
        if self._is_over(call.sid, facts):
            await self._services.attempts.excess_over(call.business_id, call.sid)

    def _is_over(self, sid: str, facts: CallFacts | NoSuchCall | None) -> bool:
        """True when the call is over, or when the provider has reported it missing for longer than a call can last."""
        if not isinstance(facts, NoSuchCall):
            self._missing.pop(sid, None)
            return facts is not None and STATES.get(facts.status) is AttemptState.OVER
        now, policy = self._services.clock.boot(), self._services.policy
        return now - self._missing.setdefault(sid, now) > policy.ring_seconds + policy.limit_seconds + policy.lag_seconds
