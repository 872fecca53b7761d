"""Lists the live calls of each account every few seconds, so that a callback that got lost is noticed, however many calls there are.

A question a call would be as many questions as there are calls. Here three lists, of a thousand calls a page, answer for all: a call they
show is where it is known to be, or further; one they do not show is over, most likely, and is asked for by its sid.

On the road of a call: 4, when the callback does not come.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from actors.calls.evidence import MISSING
from actors.calls.reconciler import QUEUED, QUEUED_SECONDS, fact_of_call, record
from dialer.model import AttemptState
from sql.attempts.fact_writer import NotRecordedError
from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.calls.call import Call
    from actors.services import Services
    from actors.tasks import Tasks
    from sql.attempts.attempts import Fact, OpenAttempt
    from telephony.provider import Account, CallFacts

# From one round to the next. With the time a list and a question take, a slot is free 15 s after its call has ended, without a callback.
ROUND_SECONDS = 7.0
# A call that was claimed more recently may not be listed yet; its callbacks are on their way.
YOUNG_SECONDS = 5.0
PLACED_STATES = frozenset({AttemptState.PLACED, AttemptState.RINGING, AttemptState.LIVE})

log = logging.getLogger(__name__)


class LiveCalls:
    """The rounds of one worker, over the accounts of the calls it follows."""

    def __init__(self, services: Services, calls: Mapping[int, Call], tasks: Tasks) -> None:
        """`calls` are those this worker follows, by attempt; `tasks` runs the lists, so that no account waits for another's."""
        self._services = services
        self._calls = calls
        self._tasks = tasks
        self._listing: set[Account] = set()
        # The attempts of which a fact waits to be written: one each, however many lists show it meanwhile.
        self._telling: set[int] = set()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """List no more."""
        self._closing.set()

    async def run(self) -> None:
        """List in rounds until closed."""
        clock = self._services.clock
        while not self._closing.is_set():
            began = clock.boot()
            try:
                await self.round()
            except DatabaseUnavailableError as error:
                log.warning("%s", error)
            try:
                async with asyncio.timeout(max(began + ROUND_SECONDS - clock.boot(), 0.0)):
                    await self._closing.wait()
            except TimeoutError:
                pass

    async def round(self) -> None:
        """Begin to list the live calls of every account with a call that is followed here, and to compare.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
        """
        partitions = list(self._services.ownership.epochs)
        if not partitions or not self._calls:
            return
        # Read before the list is asked for: what is placed meanwhile is not missing from it.
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
                # It is shown again: that it was missing must not be kept for a person to believe.
                call.check_now()
            else:
                call.shown()
                self._tell(account, attempt, facts)

    def _tell(self, account: Account, attempt: OpenAttempt, facts: CallFacts) -> None:
        """What a list says of a call is a fact; one that says no more than is known is none.

        Each is written by a task of its own: somebody may hold the rows of one business for hours, and the next list is everybody's.
        """
        if attempt.attempt_id in self._telling:
            return
        fact = fact_of_call(attempt, facts)
        if fact and fact.state.rank > attempt.state.rank:
            self._telling.add(attempt.attempt_id)
            self._tasks.spawn(self._believe(account, fact))

    async def _believe(self, account: Account, fact: Fact) -> None:
        try:
            await record(self._services, account, fact)
        except NotRecordedError:
            log.warning("attempt %d: what a list says of it could not be written; the next list says it again", fact.attempt_id)
        finally:
            self._telling.discard(fact.attempt_id)
