"""Lists the live calls of each account every few seconds, so that a lost callback is noticed soon, even with many calls.

Fetching each call would take one request per call. Three lists, of a thousand calls a page, cover all calls: a listed call is in the
state we have recorded, or a later one; a call that is not listed has probably ended, and is fetched by its sid.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from actors.calls.evidence import MISSING
from actors.calls.queue_watch import QueueWatch
from actors.calls.reconciler import QUEUED, fact_of_call, record
from dialer.concurrency.loop import Loop
from dialer.log import about
from dialer.model import AttemptState
from dialer.policy.checks import QUEUED_SECONDS
from sql.attempts.fact_writer import NotRecordedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.calls.call import Call
    from actors.services import Services
    from dialer.concurrency.tasks import Tasks
    from sql.attempts.attempts import Fact, OpenAttempt
    from telephony.provider import Account, CallFacts

# From the start of one round to the start of the next. Including the time for a list and a fetch, a slot is free within 15 s of the end of
# its call, even without a callback.
ROUND_SECONDS = 7.0
# A call that was claimed more recently than this may not be listed yet, and its callbacks are still to come.
YOUNG_SECONDS = 5.0
PLACED_STATES = frozenset({AttemptState.PLACED, AttemptState.RINGING, AttemptState.LIVE})

log = logging.getLogger(__name__)


class LiveCalls:
    """Compares the calls that one worker follows with the lists of their accounts, in rounds."""

    def __init__(self, services: Services, calls: Mapping[int, Call], tasks: Tasks) -> None:
        """`calls` are the calls this worker follows, by attempt id. Each list is fetched in a task of its own, so that no account waits."""
        self._services = services
        self._calls = calls
        self._tasks = tasks
        self._listing: set[Account] = set()
        # The attempts for which a fact is being recorded: one at a time for each attempt, even if several lists repeat it.
        self._recording: set[int] = set()
        self._queue_watch = QueueWatch(services.clock)
        self._next_round_at = 0.0
        self.loop = Loop("live calls", self._timed_round, pause=self._until_next_round)

    def _until_next_round(self) -> float:
        return max(self._next_round_at - self._services.clock.boot(), 0.0)

    async def _timed_round(self) -> None:
        self._next_round_at = self._services.clock.boot() + ROUND_SECONDS
        await self.round()

    async def round(self) -> None:
        """For every account with a call that is followed here, start to list its live calls and to compare them with our record.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        partitions = list(self._services.ownership.epochs)
        if not partitions or not self._calls:
            return
        # Read before the lists are requested: a call placed meanwhile does not count as missing from them.
        by_account: defaultdict[Account, list[OpenAttempt]] = defaultdict(list)
        for attempt in await self._services.attempts.open_of_partitions(partitions):
            account = self._services.accounts.of(attempt.business_id, attempt.account_sid)
            if attempt.sid and account and attempt.state in PLACED_STATES and attempt.attempt_id in self._calls:
                by_account[account].append(attempt)
        for account, attempts in by_account.items():
            if account not in self._listing:
                self._listing.add(account)
                self._tasks.spawn(self._list(account, attempts))

    async def _list(self, account: Account, attempts: list[OpenAttempt]) -> None:
        try:
            await self._compare(account, attempts)
        finally:
            self._listing.discard(account)

    async def _compare(self, account: Account, attempts: list[OpenAttempt]) -> None:
        listing = await self._services.provider.list_live(account)
        self._queue_watch.note(account, listing.calls)
        listed = {call.sid: call for call in listing.calls}
        for attempt in attempts:
            call, facts = self._calls.get(attempt.attempt_id), listed.get(attempt.sid or "")
            age = (attempt.as_of - attempt.created_at).total_seconds()
            if call is None:
                continue
            if facts is None:
                if listing.complete and age > YOUNG_SECONDS:
                    call.check_now()
            elif (facts.status in QUEUED and age > QUEUED_SECONDS) or MISSING in (attempt.evidence or {}):
                # Too long in the provider's queue; or listed again, so the evidence of its absence must be cleared.
                call.check_now()
            else:
                call.confirm()
                self._record_once(account, attempt, facts)

    def _record_once(self, account: Account, attempt: OpenAttempt, facts: CallFacts) -> None:
        """Record the state of a listed call if it is later than the recorded state.

        Each fact is recorded in a task of its own: one business's rows may be locked for hours, and the next list is for all businesses.
        """
        if attempt.attempt_id in self._recording:
            return
        fact = fact_of_call(attempt, facts)
        if fact and fact.state.rank > attempt.state.rank:
            self._recording.add(attempt.attempt_id)
            self._tasks.spawn(self._record(account, fact))

    async def _record(self, account: Account, fact: Fact) -> None:
        with about(business_id=fact.business_id, attempt_id=fact.attempt_id, sid=fact.sid):
            try:
                await record(self._services, account, fact)
            except NotRecordedError:
                log.warning("attempt %d: the state that a list shows could not be recorded; the next list shows it again", fact.attempt_id)
            finally:
                self._recording.discard(fact.attempt_id)
