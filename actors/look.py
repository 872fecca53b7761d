"""Look for the truth about one call that nobody has spoken of: ask our own log first, then the provider.

A call with a sid is asked for by it. One without is looked for in the provider's list, and only two complete lists, the second
long enough after the last moment it could have been sent, may say that it does not exist (protocol, section 4).

On the road of a call: 4, when the callback does not come.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dialer.model import AttemptState
from sql.attempts import Fact
from telephony.callbacks import standing

if TYPE_CHECKING:
    from actors.ports import Rules, World
    from sql.attempts import Intent, Learned, OpenAttempt
    from telephony.provider import Account, CallFacts

# A fresh unknown is looked for often, then less: a callback will mostly bring it first.
UNKNOWN_LOOKS_SECONDS = (2.0, 3.0, 5.0, 10.0, 20.0)
PLACED_LOOK_SECONDS = 15.0
LIVE_LOOK_SECONDS = 60.0
RING_GRACE_SECONDS = 10.0
# A call the provider still holds in its queue after this is withdrawn there, or it would ring tomorrow.
QUEUED_SECONDS = 60.0
# The provider says whole seconds, and its clock is not ours.
CLOCK_SKEW = timedelta(seconds=5)
AFTER_HANG_UP_SECONDS = 3.0
EXPIRY_GRACE = timedelta(seconds=2)
ABSENCE_GRACE_SECONDS = 0.25
OVERDUE_LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


async def look(world: World, account: Account, name: Intent | OpenAttempt) -> float | None:
    """Find out what became of an attempt and write it down; return in how many seconds to look again, None when it is over."""
    found = await world.attempts.states([(name.business_id, name.attempt_id)])
    if not found or not found[0].state.open:
        return None
    attempt = found[0]
    if attempt.state is AttemptState.PLACING:
        return await _expire(world, attempt)
    if attempt.hang_up and attempt.sid:
        await world.provider.hang_up(account, attempt.sid)
    learned = await (_ask_by_sid(world, account, attempt) if attempt.sid else _ask_by_list(world, account, attempt))
    if learned is not None and not learned.open:
        return None
    state = learned or attempt.state
    seconds = AFTER_HANG_UP_SECONDS if attempt.hang_up else pause_before_look(world.rules, state, attempt.looks)
    if state is AttemptState.UNKNOWN:
        seconds = min(seconds, _until_absence_can_be_shown(world.rules, attempt))
    await world.attempts.look_later(replace(attempt, state=state), seconds)
    return seconds


async def learn(world: World, account: Account, fact: Fact) -> Learned:
    """Write a fact down, and hang up when the log says that this call is not wanted: a cancelled one, or a second one.

    Raises:
        sql.ledger.NotLearnedError: when the ledger's patience has an end and PostgreSQL stayed away that long.
    """
    learned = await world.ledger.learn(fact)
    if learned.hang_up and learned.sid:
        await world.provider.hang_up(account, learned.sid)
    return learned


def _until_absence_can_be_shown(rules: Rules, attempt: OpenAttempt) -> float:
    """In how many seconds the second list may be asked for; a slot and a lead wait for it.

    When that moment has passed and it is still unknown (the first list has only just been asked for, or one has failed), again after
    as long as it has passed, so that the pause doubles.
    """
    left = attempt.send_by.timestamp() + rules.lag_seconds - attempt.as_of.timestamp()
    return left + ABSENCE_GRACE_SECONDS if left > -ABSENCE_GRACE_SECONDS else max(-left, OVERDUE_LOOK_SECONDS)


def pause_before_look(rules: Rules, state: AttemptState, looks: int) -> float:
    """How many seconds a call in this state may stay silent before the provider is asked, for the time after `looks` looks."""
    match state:
        case AttemptState.UNKNOWN:
            return UNKNOWN_LOOKS_SECONDS[min(looks, len(UNKNOWN_LOOKS_SECONDS) - 1)]
        case AttemptState.RINGING:
            return rules.ring_seconds + RING_GRACE_SECONDS
        case AttemptState.LIVE:
            return LIVE_LOOK_SECONDS
        case _:
            return PLACED_LOOK_SECONDS


async def _expire(world: World, attempt: OpenAttempt) -> float:
    """Its worker can send it no more: from now on nobody knows."""
    due = (attempt.send_by + EXPIRY_GRACE - attempt.as_of).total_seconds()
    await world.ledger.learn(_fact(attempt, AttemptState.UNKNOWN, reason="its worker did not say what became of it"))
    # Too early by the database's clock changes nothing; then it is looked at again.
    return max(due, UNKNOWN_LOOKS_SECONDS[0])


async def _ask_by_sid(world: World, account: Account, attempt: OpenAttempt) -> AttemptState | None:
    facts = await world.provider.fetch(account, attempt.sid or "")
    if facts is None:
        return None
    queued_for = (attempt.as_of - attempt.created_at).total_seconds()
    if facts.status in {"queued", "initiated"} and queued_for > QUEUED_SECONDS:
        await world.provider.hang_up(account, facts.sid, live=False)
    return await _tell(world, account, attempt, facts)


async def _ask_by_list(world: World, account: Account, attempt: OpenAttempt) -> AttemptState | None:
    listing = await world.provider.list_calls(account, attempt.phone, attempt.from_number, attempt.created_at - CLOCK_SKEW)
    if not listing.complete:
        return None
    mine = await _unbound(world, attempt, listing.calls)
    if len(mine) == 1 and await world.attempts.rivals(attempt) == 0:
        return await _tell(world, account, attempt, mine[0])
    if mine:
        # Whose call it is, only a callback can say: it carries the nonce.
        return None
    return await _absent(world, attempt)


async def _unbound(world: World, attempt: OpenAttempt, calls: tuple[CallFacts, ...]) -> list[CallFacts]:
    since = attempt.created_at - CLOCK_SKEW
    window = [call for call in calls if call.created_at is None or call.created_at >= since]
    bound = await world.attempts.bound([call.sid for call in window])
    return [call for call in window if bound.get(call.sid, attempt.attempt_id) == attempt.attempt_id]


async def _absent(world: World, attempt: OpenAttempt) -> AttemptState | None:
    """Rule 4: one complete list after it could be sent no more, and one after the provider's lag, and neither shows it."""
    evidence: dict[str, Any] = dict(attempt.evidence or {})
    # The database's clock, read before the list was asked for: the worker's own is never compared with it.
    listed_at = attempt.as_of.timestamp()
    send_by = attempt.send_by.timestamp()
    lag = world.rules.lag_seconds
    if "first" not in evidence:
        if listed_at > send_by + EXPIRY_GRACE.total_seconds():
            evidence["first"] = listed_at
            await world.attempts.look_later(attempt, UNKNOWN_LOOKS_SECONDS[0], evidence)
        return None
    if listed_at <= max(send_by + lag, evidence["first"]):
        return None
    epoch = world.held.epochs.get(attempt.partition)
    if epoch is None:
        return None
    evidence["second"] = listed_at
    fact = _fact(attempt, AttemptState.NOT_PLACED, reason="the provider shows no such call")
    learned = await world.ledger.learn(replace(fact, owner=str(world.held.incarnation), epoch=epoch, lag_seconds=lag, evidence=evidence))
    return learned.state


async def _tell(world: World, account: Account, attempt: OpenAttempt, facts: CallFacts) -> AttemptState | None:
    try:
        state, outcome = standing(facts.status)
    except ValueError:
        log.warning("attempt %d: the provider says something of it that nobody understands", attempt.attempt_id)
        return None
    fact = _fact(attempt, state)
    learned = await learn(
        world, account, replace(fact, sid=facts.sid, outcome=outcome, duration=facts.duration_seconds, answered_by=facts.answered_by)
    )
    return learned.state


def _fact(attempt: OpenAttempt, state: AttemptState, *, reason: str | None = None) -> Fact:
    return Fact(attempt.business_id, attempt.attempt_id, attempt.nonce, state, reason=reason)
