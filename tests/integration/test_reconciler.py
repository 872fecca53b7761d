"""What the reconciler believes of the provider: a call that is not known, another account, another clock, a queue, a second call.

On the road of a call: 4, when the callback does not come.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from actors.calls.call import fact_of
from actors.calls.excess_calls import ExcessCalls
from actors.calls.reconciler import reconcile, record
from dialer.concurrency.tasks import Tasks
from dialer.model import AttemptState, Reference
from sql.attempts.attempts import ClaimRequest
from sql.attempts.verdicts import RecordVerdict
from telephony import simulator
from telephony.provider import CallRequest, PlacedCall
from telephony.simulator import Faults, Scenario
from tests.chaos import waiting
from tests.integration.test_worker import Floor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from actors.services import Services
    from sql.attempts.attempts import ClaimedAttempt, OpenAttempt
    from telephony.simulator import Simulator
    from tests.rows import DatabaseFixture

LAG_SECONDS, RING_SECONDS, LIMIT_SECONDS = 1, 5, 10
ANOTHER_ACCOUNT = "AC" + "7" * 32
# Longer than a call can last, and than the provider takes to show it.
LONG = "1 hour"
SHIFT = """UPDATE dialer.attempts SET created_at = created_at - $2::text::interval, send_by = send_by - $2::text::interval WHERE id = $1"""


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[Simulator]:
    accounts = dict.fromkeys((simulator.TEST_ACCOUNT, ANOTHER_ACCOUNT), simulator.TEST_TOKEN)
    async with simulator.running(port=0, accounts=accounts, scenario="slow", speed=1) as running:
        yield running


class Desk:
    """A business with one lead, a world that owns its partition, and no worker: the test looks when it likes."""

    def __init__(self, database: DatabaseFixture, services: Services, twilio: Simulator) -> None:
        self.database = database
        self.services = services
        self.twilio = twilio
        self.reasons: list[str] = []
        services.ownership.incarnation, services.ownership.epochs = database.incarnation, database.epochs

    async def claimed(self) -> ClaimedAttempt:
        business = await self.database.business()
        await self.database.run(business, 1)
        [attempt], _ = await self.database.attempts.claim(
            self.database.incarnation,
            self.services.ids.uuid(),
            [ClaimRequest(business, self.database.epochs[await self.database.partition(business)], 1)],
            send_seconds=5,
            ring_seconds=RING_SECONDS,
            default_account=simulator.TEST_ACCOUNT,
        )
        return attempt

    async def called(self, attempt: ClaimedAttempt) -> str:
        """Have the provider make the call, and tell nobody."""
        reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
        request = CallRequest(attempt.phone, attempt.from_number, f"http://127.0.0.1:9/t/{reference}", "http://127.0.0.1:9/c", 30, 600)
        account = self.services.accounts.of(attempt.business_id, simulator.TEST_ACCOUNT)
        assert account is not None
        placed = await self.services.provider.place(account, request, deadline=self.services.clock.boot() + 10)
        assert isinstance(placed, PlacedCall)
        return placed.sid

    async def later(self, attempt: ClaimedAttempt, by: str = LONG) -> None:
        """Let time pass: for the attempt it is long ago."""
        await self.database.pool.execute(SHIFT, attempt.attempt_id, by)

    async def look(self, attempt: ClaimedAttempt) -> OpenAttempt:
        await reconcile(self.services, attempt, lambda reason, _seconds=0.0: self.reasons.append(reason))
        [found] = await self.database.attempts.states([(attempt.business_id, attempt.attempt_id)])
        return found

    async def outcome(self, attempt: ClaimedAttempt) -> tuple[str, str | None]:
        row = await self.database.pool.fetchrow("SELECT status, outcome FROM outbound_call_jobs WHERE id = $1", attempt.job_id)
        assert row is not None
        return row["status"], row["outcome"]


@pytest_asyncio.fixture
async def desk(database: DatabaseFixture, twilio: Simulator, database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        floor = Floor(database, database_url, redis_url, stack)
        settings = {"DIALER_RING_TIMEOUT_SECONDS": RING_SECONDS, "DIALER_CALL_TIME_LIMIT_SECONDS": LIMIT_SECONDS}
        yield Desk(database, await floor.services(twilio.url, **settings), twilio)


async def test_a_call_the_provider_does_not_know_is_lost_in_the_end(desk: Desk) -> None:
    attempt = await desk.claimed()
    sid = await desk.called(attempt)
    await desk.database.record(attempt, AttemptState.PLACED, sid=sid)
    desk.twilio.set_faults(Faults(forget=1))
    found = await desk.look(attempt)
    assert (found.state, "missing" in (found.evidence or {})) == (AttemptState.PLACED, True), "the pages can say so"
    await desk.later(attempt)
    assert (await desk.look(attempt)).state.open, "once is not enough"
    await waiting.lasting(LAG_SECONDS)
    assert (await desk.look(attempt)).state is AttemptState.OVER
    assert await desk.outcome(attempt) == ("failed", "lost")
    assert await desk.database.inflight(attempt.business_id) == []


async def test_a_call_that_is_shown_again_is_not_missing(desk: Desk) -> None:
    attempt = await desk.claimed()
    await desk.database.record(attempt, AttemptState.PLACED, sid=await desk.called(attempt))
    await desk.later(attempt)
    desk.twilio.set_faults(Faults(forget=1))
    assert "missing" in ((await desk.look(attempt)).evidence or {})
    desk.twilio.set_faults(Faults())
    found = await desk.look(attempt)
    assert (found.state.open, found.evidence) == (True, {})


async def test_without_the_providers_own_404_no_call_is_lost(desk: Desk) -> None:
    attempt = await desk.claimed()
    await desk.database.record(attempt, AttemptState.PLACED, sid=await desk.called(attempt))
    await desk.later(attempt)
    desk.twilio.set_faults(Faults(ask_error=1))
    for _ in range(3):
        await waiting.lasting(LAG_SECONDS)
        assert (await desk.look(attempt)).state.open


async def test_another_account_cannot_show_a_call_absent(desk: Desk, database_url: str, redis_url: str) -> None:
    """TWILIO_ACCOUNT_SID was changed while an attempt was unknown; the new account knows nothing of it."""
    attempt = await desk.claimed()
    sid = await desk.called(attempt)
    await desk.database.record(attempt, AttemptState.UNKNOWN)
    await desk.later(attempt)
    async with AsyncExitStack() as stack:
        services = await Floor(desk.database, database_url, redis_url, stack).services(desk.twilio.url, TWILIO_ACCOUNT_SID=ANOTHER_ACCOUNT)
        stranger = Desk(desk.database, services, desk.twilio)
        for _ in range(3):
            await waiting.lasting(LAG_SECONDS)
            assert (await stranger.look(attempt)).state is AttemptState.UNKNOWN
    found = await desk.look(attempt)
    assert (found.state.open, found.sid) == (True, sid)


@pytest.mark.parametrize("ahead", [-7.0, -300.0, -610.0, -1200.0, -3_600.0, 0.0, 7.0, 300.0, 3000.0])
async def test_a_call_is_found_whatever_the_providers_clock_shows(desk: Desk, ahead: float) -> None:
    desk.twilio.set_faults(Faults(clock_ahead_seconds=ahead))
    attempt = await desk.claimed()
    sid = await desk.called(attempt)
    await desk.database.record(attempt, AttemptState.UNKNOWN)
    found = await desk.look(attempt)
    assert (found.state, found.sid) == (AttemptState.PLACED, sid)


async def test_a_call_that_waits_in_the_providers_queue_is_withdrawn_and_its_lead_goes_to_the_front(desk: Desk) -> None:
    desk.twilio.scenario = Scenario.QUEUED
    attempt = await desk.claimed()
    sid = await desk.called(attempt)
    await desk.database.record(attempt, AttemptState.PLACED, sid=sid)
    assert (await desk.look(attempt)).state is AttemptState.PLACED
    assert desk.reasons == []
    await desk.later(attempt, "70 seconds")
    await desk.look(attempt)
    await desk.twilio.call_log.until(lambda log: log.calls[sid].status == "canceled")
    assert (await desk.look(attempt)).state is AttemptState.OVER
    assert await desk.outcome(attempt) == ("queued", None)
    assert len(desk.reasons) == 1, "the circuit breaker opens: the calls come too fast"


async def test_a_call_that_goes_on_after_its_time_is_hung_up_and_keeps_its_slot(desk: Desk) -> None:
    desk.twilio.scenario = Scenario.SLOW
    attempt = await desk.claimed()
    sid = await desk.called(attempt)
    await desk.database.record(attempt, AttemptState.PLACED, sid=sid)
    await desk.twilio.call_log.until(lambda log: log.calls[sid].status == "ringing")
    assert (await desk.look(attempt)).state is AttemptState.RINGING
    await desk.later(attempt, "10 minutes")
    assert (await desk.look(attempt)).state.open
    await desk.twilio.call_log.until(lambda log: log.calls[sid].status == "canceled")
    assert (await desk.look(attempt)).state is AttemptState.OVER


async def test_a_second_call_is_hung_up_and_asked_for_until_it_is_over(desk: Desk) -> None:
    attempt = await desk.claimed()
    sid, second = await desk.called(attempt), await desk.called(attempt)
    await desk.database.record(attempt, AttemptState.PLACED, sid=sid)
    for _ in range(3):
        assert (await desk.database.record(attempt, AttemptState.RINGING, sid=second)).verdict == RecordVerdict.SECOND
    tasks = Tasks()
    excess = ExcessCalls(desk.services, tasks)

    async def all_over() -> bool:
        await excess.round()
        return not await desk.database.attempts.excess_calls(list(range(256)))

    await waiting.until(all_over, 20, "the second call is known to be over")
    await tasks.finish(1)
    assert desk.twilio.call_log.calls[second].over
    assert not desk.twilio.call_log.calls[sid].over


async def test_an_answer_that_names_the_call_of_another_attempt_ends_neither(desk: Desk) -> None:
    first, other = await desk.claimed(), await desk.claimed()
    sid = await desk.called(first)
    await desk.database.record(first, AttemptState.PLACED, sid=sid)
    account = desk.services.accounts.of(other.business_id, simulator.TEST_ACCOUNT)
    assert account is not None
    await desk.database.pool.execute("UPDATE dialer.attempts SET hang_up_at = now() WHERE id = $1", other.attempt_id)
    recorded = await record(desk.services, account, fact_of(other, PlacedCall(sid, "queued")))
    assert recorded.state is AttemptState.UNKNOWN
    await desk.later(other)
    for _ in range(3):
        await waiting.lasting(LAG_SECONDS)
        assert (await desk.look(other)).state is AttemptState.UNKNOWN, "only a person can tell"
    assert not desk.twilio.call_log.calls[sid].over, "the first attempt's call goes on"
