"""Look for the truth about one call that nobody has spoken of: ask our own log first, then the provider.

A call with a sid is asked for by it. One without is looked for in the provider's list, and only two complete lists, the second
long enough after the last moment it could have been sent, may say that it does not exist (protocol, section 4). Whoever is asked is the
account that placed the call; the business may have another one by now.

On the road of a call: 4, when the callback does not come.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from actors.calls.evidence import EXPIRY_SECONDS, Moment, no_such_call, not_listed, shown_again
from dialer.model import AttemptState, Outcome
from sql.attempts.attempts import Fact
from sql.attempts.verdicts import RecordVerdict
from telephony.provider import NoSuchCall
from telephony.twilio.callbacks import standing

if TYPE_CHECKING:
    from datetime import datetime

    from actors.services import CallPolicy, Services
    from sql.attempts.attempts import ClaimedAttempt, OpenAttempt, RecordResult
    from telephony.provider import Account, CallFacts, Listing

# A fresh unknown is looked for often, then less: a callback will mostly bring it first.
UNKNOWN_LOOKS_SECONDS = (2.0, 3.0, 5.0, 10.0, 20.0)
# Beside these, all live calls of an account are listed together every few seconds (actors/calls/live_calls.py).
PLACED_LOOK_SECONDS = 15.0
LIVE_LOOK_SECONDS = 60.0
RING_GRACE_SECONDS = 10.0
# A call the provider still holds in its queue after this is withdrawn there, or it would ring tomorrow.
QUEUED_SECONDS = 60.0
QUEUED = frozenset({"queued", "initiated"})
# The provider's clock may differ from the database's by what its answer shows, and besides by this: the database's may have been set back
# while nobody who still works was looking. After a jump that was seen, by anything.
UNKNOWN_OFFSET = timedelta(minutes=10)
AFTER_A_JUMP = timedelta(days=1)
JUMP_REMEMBERED_SECONDS = 3_600.0
AFTER_HANG_UP_SECONDS = 3.0
EXPIRY_GRACE = timedelta(seconds=EXPIRY_SECONDS)
ABSENCE_GRACE_SECONDS = 0.25
OVERDUE_LOOK_SECONDS = 1.0
NO_CREDENTIALS_SECONDS = 60.0

log = logging.getLogger(__name__)


class SlowDown(Protocol):
    """The gate of an account, for whoever sees that the provider cannot keep up."""

    def __call__(self, reason: str, seconds: float = ...) -> None:
        """Send nothing for so long."""


async def reconcile(services: Services, name: ClaimedAttempt | OpenAttempt, slow_down: SlowDown) -> float | None:
    """Find out what became of an attempt and write it down; return in how many seconds to look again, None when it is over.

    `slow_down` hears why when the provider cannot keep up with what we send.
    """
    began = services.clock.boot()
    found = await services.attempts.states([(name.business_id, name.attempt_id)])
    if not found or not found[0].state.open:
        return None
    attempt = found[0]
    if attempt.state is AttemptState.PLACING:
        return await _expire(services, attempt)
    account = services.accounts.of(attempt.business_id, attempt.account_sid)
    if account is None:
        # Another account knows nothing of this call: asking it would prove it absent.
        log.error("attempt %d waits: the credentials of the account that placed it are not known here", attempt.attempt_id)
        await services.attempts.postpone_check(attempt, NO_CREDENTIALS_SECONDS)
        return NO_CREDENTIALS_SECONDS
    if attempt.hang_up and attempt.sid:
        await hang_up(services, account, attempt.business_id, attempt.sid)
    return await _Reconciliation(services, account, attempt, began, slow_down).at()


async def record(services: Services, account: Account, fact: Fact) -> RecordResult:
    """Write a fact down, and hang up when the log says that this call is not wanted: a cancelled one, or a second one.

    Raises:
        sql.attempts.fact_writer.NotLearnedError: when the ledger's patience has an end and PostgreSQL stayed away that long.
    """
    recorded = await services.facts.record(fact)
    # A fact that is refused may name another attempt's call.
    if recorded.hang_up and recorded.sid and recorded.verdict is not RecordVerdict.REFUSED:
        await hang_up(services, account, fact.business_id, recorded.sid)
    return recorded


async def hang_up(services: Services, account: Account, business_id: int, sid: str, *, live: bool = True) -> bool:
    """End a call when it is its business's turn; see `Provider.hang_up`."""
    async with services.ending.turn(business_id):
        return await services.provider.hang_up(account, sid, live=live)


def pause_before_check(rules: CallPolicy, state: AttemptState, looks: int) -> float:
    """How many seconds a call in this state may stay silent before the provider is asked, for the time after `checks` looks."""
    match state:
        case AttemptState.UNKNOWN:
            return UNKNOWN_LOOKS_SECONDS[min(looks, len(UNKNOWN_LOOKS_SECONDS) - 1)]
        case AttemptState.RINGING:
            return rules.ring_seconds + RING_GRACE_SECONDS
        case AttemptState.LIVE:
            return LIVE_LOOK_SECONDS
        case _:
            return PLACED_LOOK_SECONDS


def listed_since(attempt: OpenAttempt, listing: Listing, elapsed_seconds: float, *, jumped: bool) -> datetime:
    """Since when, by the provider's clock, a call of this attempt may have been created.

    `elapsed_seconds` is how long ago, at most, the database's clock was read when the list was answered; `jumped`: that clock has lately.
    """
    if jumped:
        return attempt.created_at - AFTER_A_JUMP
    if listing.at is None:
        return attempt.created_at - UNKNOWN_OFFSET
    behind = listing.at - attempt.as_of - timedelta(seconds=elapsed_seconds)
    # Only ever earlier: a window that begins too late would call a live call absent.
    return attempt.created_at + min(behind, timedelta()) - UNKNOWN_OFFSET


async def _expire(services: Services, attempt: OpenAttempt) -> float:
    """Its worker can send it no more: from now on nobody knows."""
    due = (attempt.send_by + EXPIRY_GRACE - attempt.as_of).total_seconds()
    await services.facts.record(_fact(attempt, AttemptState.UNKNOWN, reason="its worker did not say what became of it"))
    # Too early by the database's clock changes nothing; then it is looked at again.
    return max(due, UNKNOWN_LOOKS_SECONDS[0])


@dataclass(slots=True)
class _Reconciliation:
    """One look at an attempt whose account is known; `evidence` and `within_seconds` are what it leaves for the next one."""

    services: Services
    account: Account
    attempt: OpenAttempt
    began: float
    slow_down: SlowDown
    evidence: dict[str, Any] | None = None
    within_seconds: float | None = None

    async def at(self) -> float | None:
        """Ask, write down, and say when to look again."""
        attempt, rules = self.attempt, self.services.policy
        recorded = await (self._by_sid(attempt.sid) if attempt.sid else self._by_list())
        if recorded is not None and not recorded.open:
            return None
        state = recorded or attempt.state
        seconds = AFTER_HANG_UP_SECONDS if attempt.hang_up else pause_before_check(rules, state, attempt.checks)
        if state is AttemptState.UNKNOWN:
            seconds = min(seconds, _until_absence_can_be_shown(rules, attempt))
        if self.within_seconds is not None:
            seconds = min(seconds, self.within_seconds)
        await self.services.attempts.postpone_check(replace(attempt, state=state), seconds, self.evidence)
        return seconds

    # -- a call with a sid -------------------------------------------------------------------------------------------------------

    async def _by_sid(self, sid: str) -> AttemptState | None:
        async with self.services.asking.turn(self.attempt.business_id):
            facts = await self.services.provider.fetch(self.account, sid)
        if isinstance(facts, NoSuchCall):
            return await self._no_such_call(sid)
        if facts is None:
            return None
        self.evidence = shown_again(self.attempt)
        queued_for = (self.attempt.as_of - self.attempt.created_at).total_seconds()
        if facts.status in QUEUED and queued_for > QUEUED_SECONDS:
            await self._withdraw(sid)
        return await self._tell(facts)

    async def _withdraw(self, sid: str) -> None:
        """The provider has queued it: what we send comes too fast. The lead did nothing wrong, and goes back to the front."""
        # Noted first: its `canceled` may be here before the answer to the request.
        await self.services.attempts.withdraw(self.attempt.business_id, self.attempt.attempt_id)
        await hang_up(self.services, self.account, self.attempt.business_id, sid, live=False)
        self.slow_down(f"a call waited in the provider's queue for {QUEUED_SECONDS:.0f} s")
        self.within_seconds = AFTER_HANG_UP_SECONDS

    async def _no_such_call(self, sid: str) -> AttemptState | None:
        if self.attempt.partition not in self.services.ownership.epochs:
            return None
        lost, self.evidence = no_such_call(self.attempt, self._now(), self.services.policy)
        if not lost:
            self.within_seconds = max(self.services.policy.lag_seconds, OVERDUE_LOOK_SECONDS) + ABSENCE_GRACE_SECONDS
            return None
        log.error("attempt %d: the provider does not know its call %s (any more); it is lost", self.attempt.attempt_id, sid)
        fact = _fact(self.attempt, AttemptState.OVER, reason="the provider does not know this call")
        return (await self.services.facts.record(replace(fact, sid=sid, outcome=Outcome.LOST, evidence=self.evidence))).state

    # -- a call without ----------------------------------------------------------------------------------------------------------

    async def _by_list(self) -> AttemptState | None:
        attempt, services = self.attempt, self.services
        furthest = attempt.created_at - (AFTER_A_JUMP if self._jumped() else UNKNOWN_OFFSET)
        async with services.listing.turn(attempt.business_id):
            listing = await services.provider.list_calls(self.account, attempt.phone, attempt.from_number, furthest)
        if not listing.complete:
            return None
        mine = await self._unbound(listing)
        if len(mine) == 1 and await services.attempts.rivals(attempt) == 0:
            return await self._tell(mine[0])
        if mine:
            # Whose call it is, only a callback can say: it carries the nonce.
            return None
        return await self._absent()

    async def _unbound(self, listing: Listing) -> list[CallFacts]:
        since = listed_since(self.attempt, listing, self.services.clock.boot() - self.began, jumped=self._jumped())
        window = [call for call in listing.calls if call.created_at is None or call.created_at >= since]
        bound = await self.services.attempts.bound([call.sid for call in window])
        return [call for call in window if bound.get(call.sid, self.attempt.attempt_id) == self.attempt.attempt_id]

    async def _absent(self) -> AttemptState | None:
        """Rule 4: one complete list after it could be sent no more, and one after the provider's lag, and neither shows it."""
        services, held = self.services, self.services.ownership
        epoch = held.epochs.get(self.attempt.partition)
        if epoch is None:
            # The evidence is the new owner's to gather.
            return None
        absent, self.evidence = not_listed(self.attempt, self._now(), services.policy)
        if not absent:
            return None
        fact = _fact(self.attempt, AttemptState.NOT_PLACED, reason="the provider shows no such call")
        recorded = await services.facts.record(
            replace(fact, owner=str(held.incarnation), epoch=epoch, lag_seconds=services.policy.lag_seconds, evidence=self.evidence)
        )
        return recorded.state

    # -- both --------------------------------------------------------------------------------------------------------------------

    def _now(self) -> Moment:
        """When this look began: the database's clock was read after its own, and before the provider was asked."""
        held = self.services.ownership
        return Moment(self.attempt.as_of.timestamp(), self.began, str(held.incarnation), held.clock_trusted_from)

    def _jumped(self) -> bool:
        trusted_from = self.services.ownership.clock_trusted_from
        return trusted_from > 0 and self.began - trusted_from < JUMP_REMEMBERED_SECONDS

    async def _tell(self, facts: CallFacts) -> AttemptState | None:
        fact = fact_of_call(self.attempt, facts)
        return None if fact is None else (await record(self.services, self.account, fact)).state


def fact_of_call(attempt: OpenAttempt, facts: CallFacts) -> Fact | None:
    """What the provider says of the call of an attempt; None when nobody understands it."""
    try:
        state, outcome = standing(facts.status)
    except ValueError:
        log.warning("attempt %d: the provider says something of it that nobody understands", attempt.attempt_id)
        return None
    fact = _fact(attempt, state)
    return replace(fact, sid=facts.sid, outcome=outcome, duration=facts.duration_seconds, answered_by=facts.answered_by)


def _until_absence_can_be_shown(rules: CallPolicy, attempt: OpenAttempt) -> float:
    """In how many seconds the next of the two lists may be asked for; a slot and a lead wait for it.

    When that moment has passed and it is still unknown (the first list has only just been asked for, or one has failed), again after
    as long as it has passed, so that the pause doubles.
    """
    since = attempt.as_of.timestamp() - attempt.send_by.timestamp()
    left = (EXPIRY_SECONDS if since <= EXPIRY_SECONDS else rules.lag_seconds) - since
    return left + ABSENCE_GRACE_SECONDS if left > -ABSENCE_GRACE_SECONDS else max(-left, OVERDUE_LOOK_SECONDS)


def _fact(attempt: OpenAttempt, state: AttemptState, *, reason: str | None = None) -> Fact:
    return Fact(attempt.business_id, attempt.attempt_id, attempt.nonce, state, reason=reason)
