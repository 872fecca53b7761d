"""Reconciles one silent call: reads our record first, then queries the provider.

A call with a sid is fetched by its sid. A call without one is looked for in the provider's list; only two complete lists, the second long
enough after the last moment at which the call could have been sent, prove that it does not exist (protocol, section 4). The account that
placed the call is always the one queried; the business may have changed its account since.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from actors.calls.call_account import account_of
from actors.calls.evidence import Moment, no_such_call, not_listed, shown_again
from actors.calls.listing import UNKNOWN_OFFSET, behind_by, list_calls_since
from dialer.model import AttemptReason, AttemptState, Outcome
from dialer.policy.checks import EXPIRY_SECONDS, QUEUED_SECONDS, UNKNOWN_CHECK_SECONDS, longest_seconds, pause_before_check
from sql.attempts.attempts import Fact
from sql.attempts.verdicts import RecordVerdict
from telephony.provider import NoSuchCall
from telephony.twilio.callbacks import standing

if TYPE_CHECKING:
    from datetime import datetime

    from actors.services import CallPolicy, Services
    from sql.attempts.attempts import ClaimedAttempt, OpenAttempt, RecordResult
    from telephony.provider import Account, CallFacts, Listing

QUEUED = frozenset({"queued", "initiated"})
OVERDUE = {"ringing": AttemptState.RINGING, "in-progress": AttemptState.LIVE}
# After the database's clock has jumped, a call may seem to be this much older than its attempt; no real bound is known.
AFTER_A_JUMP = timedelta(days=1)
JUMP_REMEMBERED_SECONDS = 3_600.0
AFTER_HANG_UP_SECONDS = 3.0
EXPIRY_GRACE = timedelta(seconds=EXPIRY_SECONDS)
ABSENCE_GRACE_SECONDS = 0.25
OVERDUE_CHECK_SECONDS = 1.0
NO_CREDENTIALS_SECONDS = 60.0

log = logging.getLogger(__name__)


class SlowDown(Protocol):
    """Pauses the calls of an account because the provider cannot keep up."""

    def __call__(self, reason: str, seconds: float = ...) -> None:
        """Place no calls for `seconds`, for this `reason`."""


async def reconcile(services: Services, known: ClaimedAttempt | OpenAttempt, slow_down: SlowDown) -> float | None:
    """Find out the state of an attempt's call and record it; return the seconds until the next check, None when the attempt is over.

    `slow_down` is called when the provider cannot keep up with our requests.
    """
    began = services.clock.boot()
    rows = await services.attempts.states([(known.business_id, known.attempt_id)])
    if not rows or not rows[0].state.open:
        return None
    attempt = rows[0]
    if attempt.state is AttemptState.PLACING:
        return await _expire(services, attempt)
    account = await account_of(services, attempt.business_id, attempt.account_sid)
    if account is None:
        # No other account has this call; querying one would wrongly prove the call absent.
        log.error("attempt %d cannot be checked: the credentials of the account that placed it are not known here", attempt.attempt_id)
        await services.attempts.postpone_check(attempt, NO_CREDENTIALS_SECONDS)
        return NO_CREDENTIALS_SECONDS
    if attempt.hang_up and attempt.sid:
        await hang_up(services, account, attempt.business_id, attempt.sid)
    return await _Reconciliation(services, account, attempt, began, slow_down).run()


async def record(services: Services, account: Account, fact: Fact) -> RecordResult:
    """Record a fact, and hang up the call if the result says so: because it was cancelled, or is an excess call.

    Raises:
        sql.attempts.fact_writer.NotRecordedError: when PostgreSQL was unavailable for longer than the fact writer waits.
    """
    recorded = await services.facts.record(fact)
    # A refused fact may have the sid of another attempt's call.
    if recorded.hang_up and recorded.sid and recorded.verdict is not RecordVerdict.REFUSED:
        await hang_up(services, account, fact.business_id, recorded.sid)
    return recorded


async def hang_up(services: Services, account: Account, business_id: int, sid: str, *, live: bool = True) -> bool:
    """Hang up a call, a few at a time for each business; see `Provider.hang_up`."""
    async with services.hang_up_limit.hold(business_id):
        return await services.provider.hang_up(account, sid, live=live)


def listed_since(attempt: OpenAttempt, listing: Listing, elapsed_seconds: float, *, jumped: bool) -> datetime:
    """The earliest time, by the provider's clock, at which a call of this attempt may have been created.

    `elapsed_seconds` is an upper bound on the time from the reading of the database's clock to the response with the list; `jumped` is True
    when that clock has jumped recently.
    """
    # Only ever move the start earlier: with a window that starts too late, a live call would be declared absent.
    return attempt.created_at - behind_by(listing, attempt.as_of, elapsed_seconds) - _margin(jumped=jumped)


def _margin(*, jumped: bool) -> timedelta:
    return AFTER_A_JUMP if jumped else UNKNOWN_OFFSET


async def _expire(services: Services, attempt: OpenAttempt) -> float:
    """Record as unknown an attempt that its worker can no longer send and has not reported on; return the seconds until the next check."""
    due = (attempt.send_by + EXPIRY_GRACE - attempt.as_of).total_seconds()
    await services.facts.record(_fact(attempt, AttemptState.UNKNOWN, reason=AttemptReason.NO_RESULT))
    # If that was too early by the database's clock, nothing has changed, and the next check tries again.
    return max(due, UNKNOWN_CHECK_SECONDS[0])


@dataclass(slots=True)
class _Reconciliation:
    """One check of an attempt whose account is known; `evidence` is stored for the next check, due in `within_seconds` at most."""

    services: Services
    account: Account
    attempt: OpenAttempt
    began: float
    slow_down: SlowDown
    evidence: dict[str, Any] | None = None
    within_seconds: float | None = None

    async def run(self) -> float | None:
        """Query the provider and record the result; return the seconds until the next check, None when the attempt is over."""
        attempt, policy = self.attempt, self.services.policy
        recorded = await (self._by_sid(attempt.sid) if attempt.sid else self._by_list())
        self.services.metrics.count_check(recorded)
        if recorded is not None and not recorded.open:
            log.info("attempt %d: the provider was asked, and it is %s", attempt.attempt_id, recorded)
            return None
        state = recorded or attempt.state
        seconds = AFTER_HANG_UP_SECONDS if attempt.hang_up else pause_before_check(state, attempt.checks, policy.ring_seconds)
        if state is AttemptState.UNKNOWN:
            seconds = min(seconds, _until_absence_can_be_proved(policy, attempt))
        if self.within_seconds is not None:
            seconds = min(seconds, self.within_seconds)
        await self.services.attempts.postpone_check(replace(attempt, state=state), seconds, self.evidence)
        return seconds

    # -- a call with a sid -------------------------------------------------------------------------------------------------------

    async def _by_sid(self, sid: str) -> AttemptState | None:
        async with self.services.fetch_limit.hold(self.attempt.business_id):
            facts = await self.services.provider.fetch(self.account, sid)
        if isinstance(facts, NoSuchCall):
            return await self._no_such_call(sid)
        if facts is None:
            return None
        self.evidence = shown_again(self.attempt)
        age = (self.attempt.as_of - self.attempt.created_at).total_seconds()
        if facts.status in QUEUED and age > QUEUED_SECONDS:
            await self._withdraw(sid)
        elif facts.status in OVERDUE:
            await self._end_overdue(sid, OVERDUE[facts.status], age)
        return await self._record(facts)

    async def _end_overdue(self, sid: str, state: AttemptState, age: float) -> None:
        """Hang up a call the provider should have ended long ago: it holds its slot while the provider reports it in progress."""
        policy = self.services.policy
        if age <= longest_seconds(state, policy.ring_seconds, policy.limit_seconds):
            return
        log.error("attempt %d: call %s has not ended by its time limit; hanging up", self.attempt.attempt_id, sid)
        await hang_up(self.services, self.account, self.attempt.business_id, sid, live=state is AttemptState.LIVE)

    async def _withdraw(self, sid: str) -> None:
        """Cancel a call the provider has queued: we send too fast. The lead is not at fault, and goes back to the front of our queue."""
        # Recorded first: the callback `canceled` may arrive before the response to our request.
        await self.services.attempts.withdraw(self.attempt.business_id, self.attempt.attempt_id)
        await hang_up(self.services, self.account, self.attempt.business_id, sid, live=False)
        self.slow_down(f"a call waited in the provider's queue for {QUEUED_SECONDS:.0f} s")
        self.within_seconds = AFTER_HANG_UP_SECONDS

    async def _no_such_call(self, sid: str) -> AttemptState | None:
        if self.attempt.partition not in self.services.ownership.epochs:
            return None
        lost, self.evidence = no_such_call(self.attempt, self._now(), self.services.policy)
        if not lost:
            self.within_seconds = max(self.services.policy.lag_seconds, OVERDUE_CHECK_SECONDS) + ABSENCE_GRACE_SECONDS
            return None
        log.error("attempt %d: the provider no longer has its call %s; the call is lost", self.attempt.attempt_id, sid)
        fact = _fact(self.attempt, AttemptState.OVER, reason=AttemptReason.NOT_KNOWN)
        return (await self.services.facts.record(replace(fact, sid=sid, outcome=Outcome.LOST, evidence=self.evidence))).state

    # -- a call without a sid ----------------------------------------------------------------------------------------------------

    async def _by_list(self) -> AttemptState | None:
        attempt, services = self.attempt, self.services
        async with services.list_limit.hold(attempt.business_id):
            listing = await list_calls_since(
                services,
                self.account,
                (attempt.phone, attempt.from_number),
                attempt.created_at,
                as_of=attempt.as_of,
                began=self.began,
                margin=_margin(jumped=self._jumped()),
            )
        if not listing.complete:
            return None
        candidates = await self._unbound(listing)
        if len(candidates) == 1 and await services.attempts.rivals(attempt) == 0:
            return await self._record(candidates[0])
        if candidates:
            # Only a callback proves which attempt the call belongs to: it has the nonce.
            return None
        return await self._absent()

    async def _unbound(self, listing: Listing) -> list[CallFacts]:
        since = listed_since(self.attempt, listing, self.services.clock.boot() - self.began, jumped=self._jumped())
        window = [call for call in listing.calls if call.created_at is None or call.created_at >= since]
        bound = await self.services.attempts.bound([call.sid for call in window])
        return [call for call in window if bound.get(call.sid, self.attempt.attempt_id) == self.attempt.attempt_id]

    async def _absent(self) -> AttemptState | None:
        """Record the attempt as not placed when its call is proven absent.

        That takes two complete lists without it: one after the attempt expired, one after the provider's lag (protocol, section 4, rule 4).
        """
        services, ownership = self.services, self.services.ownership
        epoch = ownership.epochs.get(self.attempt.partition)
        if epoch is None:
            # Another worker owns the partition by now, and only the owner may gather evidence.
            return None
        absent, self.evidence = not_listed(self.attempt, self._now(), services.policy)
        if not absent:
            return None
        fact = _fact(self.attempt, AttemptState.NOT_PLACED, reason=AttemptReason.NOT_LISTED)
        recorded = await services.facts.record(
            replace(fact, owner=str(ownership.incarnation), epoch=epoch, lag_seconds=services.policy.lag_seconds, evidence=self.evidence)
        )
        return recorded.state

    # -- both --------------------------------------------------------------------------------------------------------------------

    def _now(self) -> Moment:
        """When this check started: the database's clock was read after our own, and before the provider was queried."""
        ownership = self.services.ownership
        return Moment(self.attempt.as_of.timestamp(), self.began, str(ownership.incarnation), ownership.clock_trusted_from)

    def _jumped(self) -> bool:
        trusted_from = self.services.ownership.clock_trusted_from
        return trusted_from > 0 and self.began - trusted_from < JUMP_REMEMBERED_SECONDS

    async def _record(self, facts: CallFacts) -> AttemptState | None:
        fact = fact_of_call(self.attempt, facts)
        return None if fact is None else (await record(self.services, self.account, fact)).state


def fact_of_call(attempt: OpenAttempt, facts: CallFacts) -> Fact | None:
    """The fact in the provider's report on the call of an attempt; None when we do not know the reported status."""
    try:
        state, outcome = standing(facts.status)
    except ValueError:
        log.warning("attempt %d: the provider reports an unknown call status", attempt.attempt_id)
        return None
    fact = _fact(attempt, state)
    return replace(fact, sid=facts.sid, outcome=outcome, duration=facts.duration_seconds, answered_by=facts.answered_by)


def _until_absence_can_be_proved(policy: CallPolicy, attempt: OpenAttempt) -> float:
    """The seconds until the next of the two lists may be requested; a slot and a lead are held until then.

    Once that moment has passed and the call is still unknown (the first list has only just been requested, or one has failed), the pause is
    the time since that moment, so it doubles with each check.
    """
    since = attempt.as_of.timestamp() - attempt.send_by.timestamp()
    left = (EXPIRY_SECONDS if since <= EXPIRY_SECONDS else policy.lag_seconds) - since
    return left + ABSENCE_GRACE_SECONDS if left > -ABSENCE_GRACE_SECONDS else max(-left, OVERDUE_CHECK_SECONDS)


def _fact(attempt: OpenAttempt, state: AttemptState, *, reason: str | None = None) -> Fact:
    return Fact(attempt.business_id, attempt.attempt_id, attempt.nonce, state, reason=reason)
