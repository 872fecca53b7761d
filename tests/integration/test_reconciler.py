"""What the reconciler believes of the provider: a call that is not known, another account, another clock, a queue, a second call."""

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
from tests.chaos import polling
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


class ReconcilerCase:
    """A business with one lead, the services that own its partition, and no worker: the test decides when to reconcile."""

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
            max_minutes=10,
            default_account=simulator.TEST_ACCOUNT,
        )
        return attempt

    async def called(self, attempt: ClaimedAttempt) -> str:
        """Have the provider place the call, and record nothing."""
        reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
        request = CallRequest(attempt.phone, attempt.from_number, f"http://127.0.0.1:9/t/{reference}", "http://127.0.0.1:9/c", 30, 600)
        account = self.services.accounts.of(attempt.business_id, simulator.TEST_ACCOUNT)
        assert account is not None
        placed = await self.services.provider.place(account, request, deadline=self.services.clock.boot() + 10)
        assert isinstance(placed, PlacedCall)
        return placed.sid

    async def age(self, attempt: ClaimedAttempt, by: str = LONG) -> None:
        """Move the attempt into the past, as if this much time had gone by."""
        await self.database.pool.execute(SHIFT, attempt.attempt_id, by)

    async def reconcile(self, attempt: ClaimedAttempt) -> OpenAttempt:
        await reconcile(self.services, attempt, lambda reason, _seconds=0.0: self.reasons.append(reason))
        [row] = await self.database.attempts.states([(attempt.business_id, attempt.attempt_id)])
        return row

    async def outcome(self, attempt: ClaimedAttempt) -> tuple[str, str | None]:
        row = await self.database.pool.fetchrow("SELECT status, outcome FROM outbound_call_jobs WHERE id = $1", attempt.job_id)
        assert row is not None
        return row["status"], row["outcome"]


@pytest_asyncio.fixture
async def case(database: DatabaseFixture, twilio: Simulator, database_url: str, redis_url: str) -> AsyncIterator[ReconcilerCase]:
    async with AsyncExitStack() as stack:
        floor = Floor(database, database_url, redis_url, stack)
        settings = {"DIALER_RING_TIMEOUT_SECONDS": RING_SECONDS, "DIALER_CALL_TIME_LIMIT_SECONDS": LIMIT_SECONDS}
        yield ReconcilerCase(database, await floor.services(twilio.url, **settings), twilio)


async def test_a_call_the_provider_does_not_know_is_lost_in_the_end(case: ReconcilerCase) -> None:
    attempt = await case.claimed()
    sid = await case.called(attempt)
    await case.database.record(attempt, AttemptState.PLACED, sid=sid)
    case.twilio.set_faults(Faults(forget=1))
    found = await case.reconcile(attempt)
    assert (found.state, "missing" in (found.evidence or {})) == (AttemptState.PLACED, True), "the pages can say so"
    await case.age(attempt)
    assert (await case.reconcile(attempt)).state.open, "once is not enough"
    await polling.lasting(LAG_SECONDS)
    assert (await case.reconcile(attempt)).state is AttemptState.OVER
    assert await case.outcome(attempt) == ("failed", "lost")
    assert await case.database.inflight(attempt.business_id) == []


async def test_a_call_that_is_shown_again_is_not_missing(case: ReconcilerCase) -> None:
    attempt = await case.claimed()
    await case.database.record(attempt, AttemptState.PLACED, sid=await case.called(attempt))
    await case.age(attempt)
    case.twilio.set_faults(Faults(forget=1))
    assert "missing" in ((await case.reconcile(attempt)).evidence or {})
    case.twilio.set_faults(Faults())
    found = await case.reconcile(attempt)
    assert (found.state.open, found.evidence) == (True, {})


async def test_without_the_providers_own_404_no_call_is_lost(case: ReconcilerCase) -> None:
    attempt = await case.claimed()
    await case.database.record(attempt, AttemptState.PLACED, sid=await case.called(attempt))
    await case.age(attempt)
    case.twilio.set_faults(Faults(ask_error=1))
    for _ in range(3):
        await polling.lasting(LAG_SECONDS)
        assert (await case.reconcile(attempt)).state.open


async def test_another_account_cannot_show_a_call_absent(case: ReconcilerCase, database_url: str, redis_url: str) -> None:
    """TWILIO_ACCOUNT_SID was changed while an attempt was unknown, and the former account is forgotten; the new one knows nothing of it."""
    attempt = await case.claimed()
    sid = await case.called(attempt)
    await case.database.record(attempt, AttemptState.UNKNOWN)
    await case.age(attempt)
    await case.database.pool.execute("DELETE FROM dialer.provider_accounts")
    async with AsyncExitStack() as stack:
        services = await Floor(case.database, database_url, redis_url, stack).services(case.twilio.url, TWILIO_ACCOUNT_SID=ANOTHER_ACCOUNT)
        other = ReconcilerCase(case.database, services, case.twilio)
        for _ in range(3):
            await polling.lasting(LAG_SECONDS)
            assert (await other.reconcile(attempt)).state is AttemptState.UNKNOWN
    found = await case.reconcile(attempt)
    assert (found.state.open, found.sid) == (True, sid)


async def test_the_former_account_of_the_settings_finds_its_calls(case: ReconcilerCase, database_url: str, redis_url: str) -> None:
    attempt = await case.claimed()
    sid = await case.called(attempt)
    await case.database.record(attempt, AttemptState.UNKNOWN)
    async with AsyncExitStack() as stack:
        services = await Floor(case.database, database_url, redis_url, stack).services(case.twilio.url, TWILIO_ACCOUNT_SID=ANOTHER_ACCOUNT)
        found = await ReconcilerCase(case.database, services, case.twilio).reconcile(attempt)
    assert (found.state, found.sid) == (AttemptState.PLACED, sid)


@pytest.mark.parametrize("ahead", [-7.0, -300.0, -610.0, -1200.0, -3_600.0, 0.0, 7.0, 300.0, 3000.0])
async def test_a_call_is_found_whatever_the_providers_clock_shows(case: ReconcilerCase, ahead: float) -> None:
    case.twilio.set_faults(Faults(clock_ahead_seconds=ahead))
    attempt = await case.claimed()
    sid = await case.called(attempt)
    await case.database.record(attempt, AttemptState.UNKNOWN)
    found = await case.reconcile(attempt)
    assert (found.state, found.sid) == (AttemptState.PLACED, sid)


async def test_a_call_that_waits_in_the_providers_queue_is_withdrawn_and_its_lead_goes_to_the_front(case: ReconcilerCase) -> None:
    case.twilio.scenario = Scenario.QUEUED
    attempt = await case.claimed()
    sid = await case.called(attempt)
    await case.database.record(attempt, AttemptState.PLACED, sid=sid)
    assert (await case.reconcile(attempt)).state is AttemptState.PLACED
    assert case.reasons == []
    await case.age(attempt, "70 seconds")
    await case.reconcile(attempt)
    await case.twilio.call_log.until(lambda log: log.calls[sid].status == "canceled")
    assert (await case.reconcile(attempt)).state is AttemptState.OVER
    assert await case.outcome(attempt) == ("queued", None)
    assert len(case.reasons) == 1, "the circuit breaker opens: the calls come too fast"


async def test_a_call_that_goes_on_after_its_time_is_hung_up_and_keeps_its_slot(case: ReconcilerCase) -> None:
    case.twilio.scenario = Scenario.SLOW
    attempt = await case.claimed()
    sid = await case.called(attempt)
    await case.database.record(attempt, AttemptState.PLACED, sid=sid)
    await case.twilio.call_log.until(lambda log: log.calls[sid].status == "ringing")
    assert (await case.reconcile(attempt)).state is AttemptState.RINGING
    await case.age(attempt, "10 minutes")
    assert (await case.reconcile(attempt)).state.open
    await case.twilio.call_log.until(lambda log: log.calls[sid].status == "canceled")
    assert (await case.reconcile(attempt)).state is AttemptState.OVER


async def test_a_second_call_is_hung_up_and_asked_for_until_it_is_over(case: ReconcilerCase) -> None:
    attempt = await case.claimed()
    sid, second = await case.called(attempt), await case.called(attempt)
    await case.database.record(attempt, AttemptState.PLACED, sid=sid)
    for _ in range(3):
        assert (await case.database.record(attempt, AttemptState.RINGING, sid=second)).verdict == RecordVerdict.SECOND
    tasks = Tasks()
    excess = ExcessCalls(case.services, tasks)

    async def all_over() -> bool:
        await excess.round()
        return not await case.database.attempts.excess_calls(list(range(256)))

    await polling.until(all_over, 20, "the second call is known to be over")
    await tasks.finish(1)
    assert case.twilio.call_log.calls[second].over
    assert not case.twilio.call_log.calls[sid].over


async def test_an_answer_that_names_the_call_of_another_attempt_ends_neither(case: ReconcilerCase) -> None:
    first, other = await case.claimed(), await case.claimed()
    sid = await case.called(first)
    await case.database.record(first, AttemptState.PLACED, sid=sid)
    account = case.services.accounts.of(other.business_id, simulator.TEST_ACCOUNT)
    assert account is not None
    await case.database.pool.execute("UPDATE dialer.attempts SET hang_up_at = now() WHERE id = $1", other.attempt_id)
    recorded = await record(case.services, account, fact_of(other, PlacedCall(sid, "queued")))
    assert recorded.state is AttemptState.UNKNOWN
    await case.age(other)
    for _ in range(3):
        await polling.lasting(LAG_SECONDS)
        assert (await case.reconcile(other)).state is AttemptState.UNKNOWN, "only a person can tell"
    assert not case.twilio.call_log.calls[sid].over, "the first attempt's call goes on"
