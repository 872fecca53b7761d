"""The simulated provider: it creates calls, answers or does not, sends callbacks, and keeps its own call log.

The judge relies on the call log: which calls there were, when each began and ended, and for which attempt.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from dialer.model import Reference
from telephony.provider import CallFacts, Listing, LiveListing, NoSuchCall, PlacedCall, RefusedCall, UnansweredCall, UnsentCall
from tests.simulation.loop import settle
from tests.simulation.randomness import SeededRandom
from tests.simulation.rows import moment
from tests.simulation.schedule import LONGEST_TRANSIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from dialer.clock import Clock
    from telephony.provider import Account, CallRequest, PlaceResult
    from tests.simulation.loop import VirtualLoop
    from tests.simulation.schedule import Schedule, Troubles

CONNECT_SECONDS = 0.05
HIDDEN = 0.5
QUICK_SECONDS = 0.03
SLOW_SECONDS = 7.0
# What a worker waits for: the real provider's own bounds.
ASK_SECONDS, LISTING_SECONDS = 10.0, 30.0
CALLBACK_SECONDS, LATE_CALLBACK_SECONDS, REPEAT_SECONDS = 0.05, 20.0, 12.0
SLOW_CONNECT_SECONDS = 4.9
DELIVERIES = 6
RINGS_SECONDS, TALKS_SECONDS = 4.0, 8.0
# Who talks on and on ends mostly when we end it.
TALKER_SECONDS = 130.0
ENDS = ("completed", "completed", "completed", "busy", "no-answer", "failed")
TERMINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
RESULTS = ("connection_refused", "throttled", "server_error", "refused_number", "account_refused", "foreign_answer")
TOO_MANY_CALLS = 10004


@dataclass(slots=True)
class Entry:
    """One call in the call log; times in seconds of the schedule."""

    sid: str
    reference: Reference
    account: str
    to: str
    from_: str
    created_at: float
    shown_from: float
    status: str = "queued"
    answered_at: float | None = None
    ended_at: float | None = None
    answered: bool = False
    sequence: int = 0
    error_code: int | None = None
    # The provider made it besides the one it was asked for.
    unasked: bool = False
    machine: bool = False
    history: list[str] = field(default_factory=list)

    @property
    def answered_by(self) -> str | None:
        """Who has answered, as the provider names it."""
        return ("machine_start" if self.machine else "human") if self.answered else None

    @property
    def duration_seconds(self) -> int | None:
        """How long an answered call was, in begun seconds; None until it is over."""
        if self.answered_at is None or self.ended_at is None:
            return None
        return ceil(self.ended_at - self.answered_at)

    @property
    def outcome(self) -> str:
        """How the call ended, as a retry names it."""
        return ("machine" if self.machine else "human") if self.status == "completed" else self.status


class FakeTwilio:
    """All calls of all accounts."""

    def __init__(self, loop: VirtualLoop, schedule: Schedule, chance: SeededRandom, faults: frozenset[str]) -> None:
        self.loop = loop
        self.schedule = schedule
        self.chance = chance
        self.faults = faults
        self.troubles: Troubles | None = schedule.troubles
        self._machines = SeededRandom(schedule.seed, "machines")
        self.is_away = False
        # How far this clock is ahead of the database's, in what the provider says; negative: behind.
        self.clock_seconds = schedule.troubles.provider_clock_seconds
        # Calls that it does not know any more.
        self.forgotten: set[str] = set()
        self.calls: dict[str, Entry] = {}
        # Called for each change: the address of the callback, and the fields.
        self.call_back: Callable[[Entry, str, int, int], None] = lambda *_: None
        self.created: Callable[[Entry], None] = lambda _: None
        self.written: Callable[[Reference], None] = lambda _: None

    def hits(self, name: str) -> bool:
        """True when this trouble strikes now."""
        return self.troubles is not None and self.chance.hits(getattr(self.troubles, name))

    def create(self, account: str, request: CallRequest, *, unasked: bool = False) -> Entry:
        """Begin a call."""
        reference = Reference.parse(request.url.rsplit("/", 1)[1])
        now = self.loop.now
        shown = now + self.chance.random() * self.schedule.listing_lag_seconds
        entry = Entry(f"CA{len(self.calls) + 1:032d}", reference, account, request.to, request.from_, now, shown, unasked=unasked)
        self.calls[entry.sid] = entry
        self.created(entry)
        self._say(entry, "queued")
        if self.hits("forgets"):
            self.forgotten.add(entry.sid)
        if not self.hits("keeps_queued"):
            ring = self.chance.random() * 2
            self._later(ring, lambda: self._ring(entry))
        return entry

    def now(self) -> datetime:
        """What the provider's clock shows, in whole seconds."""
        return moment(self.loop.now + self.clock_seconds).replace(microsecond=0)

    def call(self, account: Account, sid: str) -> Entry | None:
        """A call of this account, as long as the provider knows it."""
        entry = self.calls.get(sid)
        return entry if entry and entry.account == account.sid and sid not in self.forgotten else None

    def end(self, entry: Entry, status: str) -> None:
        """End a call, however it came to it."""
        if entry.ended_at is None:
            entry.ended_at = self.loop.now
            self._say(entry, status)

    def _ring(self, entry: Entry) -> None:
        if entry.ended_at is not None:
            return
        if self.hits("at_its_limit"):
            entry.error_code = TOO_MANY_CALLS
            self.end(entry, "failed")
            return
        self._say(entry, "ringing")
        end = self.chance.choice(ENDS)
        seconds = self.chance.random() * RINGS_SECONDS
        if end == "completed":
            self._later(seconds, lambda: self._answer(entry))
        else:
            self._later(seconds, lambda: self.end(entry, end))

    def _answer(self, entry: Entry) -> None:
        if entry.ended_at is None:
            entry.answered_at = self.loop.now
            entry.answered, entry.machine = True, self._machines.hits(self.schedule.rules.machines)
            self._say(entry, "in-progress")
            seconds = TALKER_SECONDS if self.hits("talks_on") else self.chance.random() * TALKS_SECONDS
            self._later(seconds, lambda: self.end(entry, "completed"))

    def _say(self, entry: Entry, status: str) -> None:
        entry.status = status
        entry.history.append(status)
        sequence = entry.sequence
        entry.sequence += 1
        for _ in range(2 if self.hits("callback_twice") else 1):
            if not self.hits("callback_lost"):
                self.deliver(entry, status, sequence, 1)

    def deliver(self, entry: Entry, status: str, sequence: int, nth: int) -> None:
        """Send a callback; the receiver asks for a retry when it could not store it."""
        longest = LATE_CALLBACK_SECONDS if self.hits("callback_late") else CALLBACK_SECONDS
        seconds = self.chance.random() * longest + (REPEAT_SECONDS * self.chance.random() if nth > 1 else 0.0)
        self._later(seconds, lambda: self.call_back(entry, status, sequence, nth))

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        self.loop.call_later(seconds, work, context=self.loop.outside)


class FakeProvider:
    """`Provider` of one worker: what it sees of the provider over its own connections."""

    def __init__(self, twilio: FakeTwilio, clock: Clock) -> None:
        self.twilio = twilio
        self.clock = clock

    async def place(self, account: Account, request: CallRequest, *, deadline: float) -> PlaceResult:
        twilio, chance = self.twilio, self.twilio.chance
        if deadline <= self.clock.boot():
            return UnsentCall("the deadline had passed")
        await self._wait(chance.random() * (SLOW_CONNECT_SECONDS if twilio.hits("slow_connection") else CONNECT_SECONDS))
        if twilio.is_away or twilio.hits("connection_refused"):
            return UnsentCall("refused")
        # Checked once more when the connection is open: a worker that was frozen meanwhile must not write.
        if self.clock.boot() >= deadline and "post_after_the_deadline" not in twilio.faults:
            return UnsentCall("the deadline had passed")
        answer = self._write(account, request)
        for _ in range(1 if "retry_post" in twilio.faults else 0):
            try:
                async with asyncio.timeout(1.0):
                    return await asyncio.shield(answer)
            except TimeoutError:
                answer = self._write(account, request)
        try:
            async with asyncio.timeout(max(deadline - self.clock.boot(), 0.0)):
                return await answer
        except TimeoutError:
            return UnsentCall("timeout") if "timeout_is_not_sent" in twilio.faults else UnansweredCall("timeout")

    def _write(self, account: Account, request: CallRequest) -> asyncio.Future[PlaceResult]:
        """The request is on its way and cannot be cancelled; the provider decides what it does."""
        twilio, loop = self.twilio, self.twilio.loop
        twilio.written(Reference.parse(request.url.rsplit("/", 1)[1]))
        answer: asyncio.Future[PlaceResult] = loop.create_future()

        def arrive() -> None:
            result = self._treat(account, request)
            if twilio.hits("answer_lost"):
                return
            seconds = twilio.chance.random() * (SLOW_SECONDS if twilio.hits("slow_answer") else QUICK_SECONDS)
            loop.call_later(seconds, settle, answer, result, context=loop.outside)

        transit = twilio.chance.random() * (LONGEST_TRANSIT_SECONDS if twilio.hits("slow_answer") else QUICK_SECONDS)
        loop.call_later(transit, arrive, context=loop.outside)
        return answer

    def _treat(self, account: Account, request: CallRequest) -> PlaceResult:
        twilio = self.twilio
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        if twilio.hits("foreign_answer"):
            self._perhaps(account, request)
            return UnansweredCall("HTTP 403", foreign=True)
        if twilio.hits("server_error"):
            self._perhaps(account, request)
            return UnsentCall("500") if "server_error_is_not_sent" in twilio.faults else UnansweredCall("500")
        before = next(iter(twilio.calls), None)
        entry = twilio.create(account.sid, request)
        if twilio.hits("two_calls"):
            twilio.create(account.sid, request, unasked=True)
        return PlacedCall(before if before and twilio.hits("another_sid") else entry.sid, "queued")

    def _refusal(self) -> PlaceResult | None:
        twilio = self.twilio
        if twilio.hits("throttled"):
            return UnsentCall("429", retry_after_seconds=twilio.chance.choice([None, 1.0]), throttled=True)
        if twilio.hits("account_refused"):
            return RefusedCall(20003, "authenticate", 401)
        return RefusedCall(21211, "invalid", 400) if twilio.hits("refused_number") else None

    def _perhaps(self, account: Account, request: CallRequest) -> None:
        if self.twilio.chance.hits(0.5):
            self.twilio.create(account.sid, request)

    async def fetch(self, account: Account, sid: str) -> CallFacts | NoSuchCall | None:
        twilio = self.twilio
        await self._wait(twilio.chance.random() * QUICK_SECONDS)
        if twilio.is_away or twilio.hits("listing_broken"):
            return None
        entry = twilio.call(account, sid)
        # A call that its lists do not show yet may be unknown to the rest of it too.
        unseen = entry is None or (entry.shown_from > twilio.loop.now and twilio.chance.hits(HIDDEN))
        return NoSuchCall() if entry is None or unseen else self._facts(entry)

    async def list_calls(self, account: Account, to: str | None, from_: str | None, since: datetime) -> Listing:
        twilio = self.twilio
        await self._wait(twilio.chance.random() * QUICK_SECONDS)
        if twilio.is_away or twilio.hits("listing_broken"):
            return Listing((), complete="broken_listing_counts" in twilio.faults)
        found = [
            self._facts(e) for e in twilio.calls.values()
            if twilio.call(account, e.sid) and from_ in {None, e.from_} and to in {None, e.to}
            and e.shown_from <= twilio.loop.now and moment(e.created_at + twilio.clock_seconds) >= since
        ]  # fmt: skip
        return Listing(tuple(reversed(found)), complete=True, at=twilio.now())

    async def list_live(self, account: Account) -> LiveListing:
        twilio = self.twilio
        await self._wait(twilio.chance.random() * QUICK_SECONDS)
        if twilio.is_away or twilio.hits("listing_broken"):
            return LiveListing((), complete=False)
        known = [e for e in twilio.calls.values() if twilio.call(account, e.sid) and e.shown_from <= twilio.loop.now]
        facts = [self._facts(e) for e in known if e.ended_at is None]
        return LiveListing(tuple(call for call in facts if call.status not in TERMINAL), complete=True)

    async def hang_up(self, account: Account, sid: str, *, live: bool = True) -> bool:
        twilio, loop = self.twilio, self.twilio.loop
        entry = twilio.call(account, sid)
        if entry is None or twilio.is_away or twilio.hits("listing_broken"):
            await self._wait(QUICK_SECONDS)
            return False

        def take_effect() -> None:
            # It may have been answered since the request.
            if live or not entry.answered:
                twilio.end(entry, "completed" if entry.answered else "canceled")

        loop.call_later(QUICK_SECONDS, take_effect, context=loop.outside)
        await self._wait(twilio.chance.random() * QUICK_SECONDS)
        return True

    async def redirect(self, account: Account, sid: str, url: str) -> bool:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""

    def _facts(self, entry: Entry) -> CallFacts:
        status = entry.status
        if len(entry.history) > 1 and self.twilio.hits("stale_answer"):
            # Eventually consistent: what was true a moment ago.
            status = entry.history[-2]
        created = moment(entry.created_at + self.twilio.clock_seconds).replace(microsecond=0)
        seconds = entry.duration_seconds if status == "completed" else None
        return CallFacts(entry.sid, status, entry.to, entry.from_, created, None, None, seconds, entry.answered_by)

    async def _wait(self, seconds: float) -> None:
        loop = self.twilio.loop
        reached = loop.create_future()
        loop.call_later(seconds, settle, reached, None, context=loop.outside)
        await reached
