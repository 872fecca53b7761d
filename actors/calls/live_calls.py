"""Lists the live calls of each account every few seconds, so that a lost callback is noticed, however many calls there are.

A request for each call would be as many requests as calls. Three lists, of a thousand calls a page, cover them all: a listed call is in
the state we know, or further on; a call that is not listed is probably over, and is fetched by its sid.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from actors.calls.evidence import MISSING
from actors.calls.reconciler import QUEUED, fact_of_call, record
from dialer.concurrency.loop import Loop
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

# From the start of one round to the next. With the time of a list and a fetch, a slot is free within 15 s of the end of its call, without
# a callback.
ROUND_SECONDS = 7.0
# A call that was claimed more recently may not be listed yet; its callbacks are on their way.
YOUNG_SECONDS = 5.0
PLACED_STATES = frozenset({AttemptState.PLACED, AttemptState.RINGING, AttemptState.LIVE})

log = logging.getLogger(__name__)


class LiveCalls:
    """The rounds of one worker, over the accounts of the calls it follows."""

    def __init__(self, services: Services, calls: Mapping[int, Call], tasks: Tasks) -> None:
        """`calls` are those this worker follows, by attempt; `tasks` fetches the lists, so that no account waits for another's."""
        self._services = services
        self._calls = calls
        self._tasks = tasks
        self._listing: set[Account] = set()
        # The attempts with a fact that is being recorded: one each, however many lists repeat it meanwhile.
        self._recording: set[int] = set()
        self._next_round_at = 0.0
        self.loop = Loop("live calls", self._timed_round, pause=self._until_next_round)

    def _until_next_round(self) -> float:
        return max(self._next_round_at - self._services.clock.boot(), 0.0)

    async def _timed_round(self) -> None:
        self._next_round_at = self._services.clock.boot() + ROUND_SECONDS
        await self.round()

    async def round(self) -> None:
        """Start to list the live calls of every account with a call that is followed here, and to compare.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
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
                # It is listed again: its attempt must not go on saying that it was missing.
                call.check_now()
            else:
                call.confirm()
                self._record_once(account, attempt, facts)

    def _record_once(self, account: Account, attempt: OpenAttempt, facts: CallFacts) -> None:
        """Record what a list says about a call, if it is more than we know.

        Each is recorded by a task of its own: the rows of one business may be locked for hours, and the next list serves all businesses.
        """
        if attempt.attempt_id in self._recording:
            return
        fact = fact_of_call(attempt, facts)
        if fact and fact.state.rank > attempt.state.rank:
            self._recording.add(attempt.attempt_id)
            self._tasks.spawn(self._record(account, fact))

    async def _record(self, account: Account, fact: Fact) -> None:
        try:
            await record(self._services, account, fact)
        except NotRecordedError:
            log.warning("attempt %d: its state in a list could not be recorded; the next list repeats it", fact.attempt_id)
        finally:
            self._recording.discard(fact.attempt_id)
