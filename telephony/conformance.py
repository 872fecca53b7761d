"""The promises of a provider, as tests for any implementation.

A test module subclasses `ProviderPromises` and provides a fixture `line`: a provider whose far end the test controls. Twilio's client
runs them against the simulator; the in-memory provider of the simulation runs them too.
"""
# ruff: noqa: S101 - tests use assert

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from telephony.provider import CallFacts, CallRequest, NoSuchCall, PlacedCall, RefusedCall, UnansweredCall, UnsentCall
from telephony.refusals import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dialer.clock import Clock
    from telephony.provider import Account, Provider

Trouble = Literal[
    "throttled", "error before", "error after", "drop before", "drop after", "garbled", "silent", "asking fails",
    "account refused", "foreign before", "foreign after", "forgotten", "none",
]  # fmt: skip

TO: Final = "+97250000001"
OTHER: Final = "+97250000002"
FROM: Final = "+97237000000"
PATIENCE_SECONDS: Final = 5.0
HASTE_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 10.0
TERMINAL: Final = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})


class Line(ABC):
    """A provider under test, an account with it, and control of the far end."""

    provider: Provider
    account: Account
    wrong_account: Account
    clock: Clock

    @abstractmethod
    def answers(self, to: str, how: Literal["answer", "busy", "no-answer", "failed", "slow", "refused"]) -> None:
        """Set how calls to `to` go from now on."""

    @abstractmethod
    def trouble(self, kind: Trouble) -> None:
        """Inject this trouble into every later request; `silent` delays an answer by `SILENCE_SECONDS`."""

    @abstractmethod
    def calls(self, to: str) -> Sequence[str]:
        """The sids of the calls really made to `to`, oldest first."""

    @abstractmethod
    async def until(self, sid: str, statuses: frozenset[str]) -> None:
        """Wait, with a time-out, until the call has one of these statuses."""

    def request(self, to: str = TO) -> CallRequest:
        """A request for a call whose script and callbacks lead nowhere."""
        return CallRequest(
            to=to,
            from_=FROM,
            url="http://127.0.0.1:9/script",
            status_callback="http://127.0.0.1:9/callback",
            ring_timeout_seconds=30,
            time_limit_seconds=600,
        )

    def deadline(self, seconds: float = PATIENCE_SECONDS) -> float:
        """A deadline so many seconds from now, on the boot clock."""
        return self.clock.boot() + seconds

    async def placed(self, to: str = TO) -> str:
        """Place a call that must succeed; return its sid."""
        result = await self.provider.place(self.account, self.request(to), deadline=self.deadline())
        assert isinstance(result, PlacedCall), result
        return result.sid


class ProviderPromises:
    """The promises of every provider, whatever the network does."""

    async def test_a_call_is_placed_once_and_named(self, line: Line) -> None:
        """The sid in the answer is that of the call that was made."""
        sid = await line.placed()
        assert list(line.calls(TO)) == [sid]

    async def test_a_definite_refusal_has_a_code_and_makes_no_call(self, line: Line) -> None:
        """A refusal of the provider is distinguished from a failure."""
        line.answers(TO, "refused")
        result = await line.provider.place(line.account, line.request(), deadline=line.deadline())
        assert isinstance(result, RefusedCall), result
        assert (result.code, result.http_status, result.action) == (21214, 400, Action.LEAD)
        assert not line.calls(TO)

    async def test_a_wrong_token_is_refused_as_such(self, line: Line) -> None:
        """An account that may not call is recognized by the HTTP status."""
        result = await line.provider.place(line.wrong_account, line.request(), deadline=line.deadline())
        assert isinstance(result, RefusedCall), result
        assert (result.http_status, result.action) == (401, Action.ACCOUNT)
        assert not line.calls(TO)

    async def test_a_refusal_that_is_not_about_the_number_is_the_accounts(self, line: Line) -> None:
        """It would hit every other lead as well."""
        line.trouble("account refused")
        result = await line.provider.place(line.account, line.request(), deadline=line.deadline())
        assert isinstance(result, RefusedCall), result
        assert result.action is Action.ACCOUNT
        assert not line.calls(TO)

    async def test_what_the_provider_did_not_write_proves_nothing(self, line: Line) -> None:
        """A proxy may answer for a request that it forwarded, or for one it did not."""
        await self._proves_nothing(line, "foreign before", 0)
        await self._proves_nothing(line, "foreign after", 1)

    async def test_too_many_requests_is_not_sent(self, line: Line) -> None:
        """A 429 was not processed: it may be retried, after the time it names."""
        line.trouble("throttled")
        result = await line.provider.place(line.account, line.request(), deadline=line.deadline())
        assert isinstance(result, UnsentCall), result
        assert result.throttled
        assert result.retry_after_seconds is not None
        assert not line.calls(TO)

    async def test_an_error_of_the_server_proves_nothing(self, line: Line) -> None:
        """A 5xx is the same answer whether there is a call or not, so it may not be taken for either."""
        await self._proves_nothing(line, "error before", 0)
        await self._proves_nothing(line, "error after", 1)

    async def test_a_broken_connection_proves_nothing(self, line: Line) -> None:
        """Nor does a connection that breaks."""
        await self._proves_nothing(line, "drop before", 0)
        await self._proves_nothing(line, "drop after", 1)

    async def test_half_an_answer_proves_nothing(self, line: Line) -> None:
        """A 201 that cannot be parsed made a call whose sid we do not know."""
        await self._proves_nothing(line, "garbled", 1)

    async def test_silence_ends_at_the_deadline_and_proves_nothing(self, line: Line) -> None:
        """The deadline is kept, and once the request was sent it proves nothing."""
        line.trouble("silent")
        start = line.clock.boot()
        result = await line.provider.place(line.account, line.request(), deadline=line.deadline(HASTE_SECONDS))
        assert isinstance(result, UnansweredCall), result
        assert line.clock.boot() - start < SILENCE_SECONDS
        assert len(line.calls(TO)) == 1

    async def test_nothing_is_sent_after_the_deadline(self, line: Line) -> None:
        """A deadline that has passed sends nothing at all."""
        result = await line.provider.place(line.account, line.request(), deadline=line.deadline(-1.0))
        assert isinstance(result, UnsentCall), result
        assert not result.throttled
        assert not line.calls(TO)

    async def test_a_call_can_be_asked_for_until_its_end(self, line: Line) -> None:
        """Its facts match its request, and its end is final."""
        line.answers(TO, "busy")
        sid = await line.placed()
        await line.until(sid, TERMINAL)
        facts = await line.provider.fetch(line.account, sid)
        assert isinstance(facts, CallFacts)
        assert (facts.sid, facts.to, facts.from_, facts.status) == (sid, TO, FROM, "busy")
        assert facts.created_at is not None
        assert facts.created_at.tzinfo is not None

    async def test_a_call_the_account_has_not_is_told_from_a_failure_to_answer(self, line: Line) -> None:
        """An unknown sid, a failed request and a forgotten call are distinguished."""
        assert await line.provider.fetch(line.account, "CA" + "0" * 32) == NoSuchCall()
        sid = await line.placed()
        line.trouble("asking fails")
        assert await line.provider.fetch(line.account, sid) is None
        line.trouble("forgotten")
        assert await line.provider.fetch(line.account, sid) == NoSuchCall()

    async def test_the_live_calls_of_an_account_are_listed(self, line: Line) -> None:
        """All that are not over, whatever their numbers, and no others."""
        line.answers(TO, "busy")
        over = await line.placed()
        await line.until(over, TERMINAL)
        line.answers(TO, "slow")
        line.answers(OTHER, "slow")
        talking, other = await line.placed(), await line.placed(OTHER)
        await line.until(talking, frozenset({"in-progress"}))
        await line.until(other, frozenset({"in-progress"}))
        listing = await line.provider.list_live(line.account)
        assert listing.complete
        assert {call.sid: call.status for call in listing.calls} == {talking: "in-progress", other: "in-progress"}
        line.trouble("asking fails")
        assert not (await line.provider.list_live(line.account)).complete

    async def test_a_listing_has_the_time_of_the_provider(self, line: Line) -> None:
        """The times of the calls are the provider's; its clock may be wrong, or ours."""
        listing = await line.provider.list_calls(line.account, TO, FROM, line.clock.now())
        assert listing.at is not None
        assert listing.at.tzinfo is not None

    async def test_a_listing_shows_every_call_between_two_numbers_newest_first(self, line: Line) -> None:
        """Whatever their status, and no call of other numbers."""
        since = line.clock.now() - timedelta(seconds=1)
        line.answers(TO, "busy")
        over = await line.placed()
        await line.until(over, TERMINAL)
        line.answers(TO, "slow")
        running = await line.placed()
        await line.placed(OTHER)
        listing = await line.provider.list_calls(line.account, TO, FROM, since)
        assert listing.complete
        assert [call.sid for call in listing.calls] == [running, over]
        nothing = await line.provider.list_calls(line.account, TO, OTHER, since)
        assert nothing.complete
        assert not nothing.calls

    async def test_a_listing_that_failed_is_not_complete(self, line: Line) -> None:
        """So it can never prove that a call is absent."""
        line.trouble("asking fails")
        listing = await line.provider.list_calls(line.account, TO, FROM, line.clock.now())
        assert not listing.complete

    async def test_a_ringing_call_can_be_hung_up(self, line: Line) -> None:
        """Before an answer it ends as canceled; once over, hanging up again is no failure."""
        line.answers(TO, "no-answer")
        sid = await line.placed()
        await line.until(sid, frozenset({"ringing"}))
        assert await line.provider.hang_up(line.account, sid, live=False)
        await line.until(sid, frozenset({"canceled"}))
        assert await line.provider.hang_up(line.account, sid)

    async def test_a_live_call_can_be_hung_up(self, line: Line) -> None:
        """After an answer it ends as completed."""
        line.answers(TO, "slow")
        sid = await line.placed()
        await line.until(sid, frozenset({"in-progress"}))
        assert not await line.provider.hang_up(line.account, sid, live=False), "asked to spare an answered call, it goes on"
        assert await line.provider.hang_up(line.account, sid)
        await line.until(sid, frozenset({"completed"}))

    async def test_an_unknown_call_cannot_be_hung_up(self, line: Line) -> None:
        """The caller must know that it failed."""
        assert not await line.provider.hang_up(line.account, "CA" + "0" * 32)

    async def test_two_requests_alike_are_two_calls(self, line: Line) -> None:
        """No known provider removes duplicates, so the dialer must not rely on that."""
        first, second = await line.placed(), await line.placed()
        assert list(line.calls(TO)) == [first, second]

    async def _proves_nothing(self, line: Line, trouble: Trouble, made: int) -> None:
        line.trouble(trouble)
        before = len(line.calls(TO))
        result = await line.provider.place(line.account, line.request(), deadline=line.deadline())
        assert isinstance(result, UnansweredCall), (trouble, result)
        assert len(line.calls(TO)) == before + made, trouble
