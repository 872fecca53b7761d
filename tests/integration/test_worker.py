"""A worker on real servers, with the simulator in place of Twilio: dispatchers, rate limits, partitions and refusals.

There is no web process here, so no callback arrives: what ends a call is what the worker finds out by asking.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio

from actors import lease
from actors.bootstrap import open_services
from actors.dispatch.circuit_breaker import CircuitBreaker
from actors.dispatch.rate_limiter import RateLimiter
from actors.supervisor import router
from actors.worker import Worker
from dialer.concurrency.tasks import Tasks
from dialer.config import Settings
from dialer.messages import CommandType, RunChanged
from ringmaster.local.ports import free_port
from telephony import simulator
from telephony.provider import PlacedCall, UnsentCall
from tests.chaos import polling
from tests.rows import SECRET_KEY
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from actors.services import Services
    from telephony.simulator import Simulator
    from tests.rows import DatabaseFixture

NOBODY = "http://127.0.0.1:9"
BOUND_SECONDS = 20.0


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[Simulator]:
    async with simulator.running(port=0, scenario="answer", speed=50) as running:
        yield running


class Floor:
    """Workers on the servers of a test."""

    def __init__(self, database: DatabaseFixture, database_url: str, redis_url: str, stack: AsyncExitStack) -> None:
        self.database = database
        self._urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        self._stack = stack

    async def services(self, twilio_url: str, **more: object) -> Services:
        values = {
            **self._urls,
            "PUBLIC_URL": NOBODY,
            "SECRET_KEY": SECRET_KEY,
            "TWILIO_ACCOUNT_SID": simulator.TEST_ACCOUNT,
            "TWILIO_AUTH_TOKEN": simulator.TEST_TOKEN,
            "TWILIO_API_URL": twilio_url,
            "DIALER_CALLS_PER_SECOND": 0,
            "DIALER_PROVIDER_LAG_SECONDS": 1,
            **more,
        }
        return await self._stack.enter_async_context(open_services(Settings.model_validate(values)))

    @asynccontextmanager
    async def worker(self, twilio_url: str, name: str = "one", **more: object) -> AsyncIterator[tuple[Worker, Services]]:
        services = await self.services(twilio_url, **more)
        worker = Worker(services, name)
        await worker.start()
        try:
            yield worker, services
        finally:
            await worker.stop()


@pytest_asyncio.fixture
async def floor(database: DatabaseFixture, database_url: str, redis_url: str) -> AsyncIterator[Floor]:
    # The fixture owns every partition, for its own claims; here the workers are to have them.
    await database.workers.leave(database.incarnation)
    async with AsyncExitStack() as stack:
        yield Floor(database, database_url, redis_url, stack)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    await polling.until(condition, BOUND_SECONDS, condition.__name__)


async def test_the_provider_refuses_the_account_and_no_lead_is_burned(floor: Floor, twilio: Simulator) -> None:
    business = await floor.database.business()
    run = await floor.database.run(business, 5)

    async def paused() -> bool:
        return (await floor.database.checked_run(business, run)).status == "paused"

    async with floor.worker(twilio.url, TWILIO_AUTH_TOKEN="wrong"):
        await until(paused)

        async def all_back() -> bool:
            return (await floor.database.checked_run(business, run)).queued == 5

        await until(all_back)
    seen = await floor.database.checked_run(business, run)
    assert (seen.failed, "account" in (seen.last_error or "")) == (0, True)


@pytest.mark.parametrize(("pace", "at_once"), [(0, 3), (0.01, 1)])
async def test_nobody_listens_and_no_lead_is_burned(floor: Floor, pace: float, at_once: int) -> None:
    """Refused connections open the circuit breaker; leads and permits are given back; calls go on when the provider is back."""
    business = await floor.database.business()
    run = await floor.database.run(business, 4)
    port = free_port()

    async def tried() -> bool:
        return bool(await floor.database.pool.fetchval("SELECT count(*) >= 3 FROM dialer.attempts WHERE state = 'not_sent'"))

    async with floor.worker(f"http://127.0.0.1:{port}", DIALER_CALLS_PER_SECOND=pace):
        await until(tried)
        assert (await floor.database.checked_run(business, run)).failed == 0
        assert not await floor.database.pool.fetchval("SELECT count(*) FROM dialer.attempts WHERE state = 'unknown'")
        async with simulator.running(port=port, scenario="slow", speed=1) as late:

            async def dialled() -> bool:
                return len(late.call_log.calls) == at_once

            await until(dialled)
        assert (await floor.database.checked_run(business, run)).failed == 0


async def test_two_workers_keep_one_pace(floor: Floor, twilio: Simulator) -> None:
    account = uuid4().hex
    installations = [await floor.services(twilio.url, DIALER_CALLS_PER_SECOND=20) for _ in range(2)]
    limiters = [RateLimiter(services, account) for services in installations]
    loop = asyncio.get_running_loop()
    until_then = loop.time() + 1.0
    granted = 0
    while loop.time() < until_then:
        for limiter in limiters:
            granted += (await limiter.take(5))[0]
    # Twenty a second, and a tenth of a second's worth at once.
    assert 15 <= granted <= 24


async def test_an_account_that_waits_for_its_pace_delays_no_other_and_fails_no_lead(floor: Floor) -> None:
    own, token = "AC" + "5" * 32, "5" * 32
    slow, other = await floor.database.business(), await floor.database.business()
    await floor.database.own_account(other, own, token)
    accounts = {simulator.TEST_ACCOUNT: simulator.TEST_TOKEN, own: token}
    async with simulator.running(port=0, accounts=accounts, scenario="slow", speed=1) as both:
        runs = {slow: await floor.database.run(slow, 3)}
        async with floor.worker(both.url, DIALER_CALLS_PER_SECOND=0.01):

            def called(account: str) -> int:
                return sum(call.account == account for call in both.call_log.calls.values())

            async def the_first_waits() -> bool:
                return called(simulator.TEST_ACCOUNT) == 1

            await until(the_first_waits)
            runs[other] = await floor.database.run(other, 3)

            async def the_other_is_called() -> bool:
                return called(own) == 1

            await until(the_other_is_called)
            assert called(simulator.TEST_ACCOUNT) == 1
    for business, run in runs.items():
        seen = await floor.database.checked_run(business, run)
        assert (seen.status, seen.queued, seen.in_progress) == ("running", 2, 1)


async def test_an_account_keeps_its_own_pace(floor: Floor) -> None:
    own, token = "AC" + "5" * 32, "5" * 32
    paced, free = await floor.database.business(), await floor.database.business()
    await floor.database.own_account(paced, own, token, pace=0.01)
    accounts = {simulator.TEST_ACCOUNT: simulator.TEST_TOKEN, own: token}
    async with simulator.running(port=0, accounts=accounts, scenario="slow", speed=1) as both:
        for business in (paced, free):
            await floor.database.run(business, 3)
        async with floor.worker(both.url):

            async def called() -> bool:
                return sorted(call.account for call in both.call_log.calls.values()) == [simulator.TEST_ACCOUNT] * 3 + [own]

            await until(called)
            await floor.database.own_account(paced, own, token)

            async def all_called() -> bool:
                return len(both.call_log.calls) == 6

            await until(all_called)


async def test_permits_come_back_and_an_open_circuit_breaker_stops_the_other_worker(floor: Floor, twilio: Simulator) -> None:
    account = uuid4().hex
    services = [await floor.services(twilio.url, DIALER_CALLS_PER_SECOND=0.01) for _ in range(2)]
    one, other = [RateLimiter(each, account) for each in services]
    tasks = Tasks()
    breaker = CircuitBreaker(services[0], tasks, account)
    assert (await one.take(3))[0] == 1
    assert (await other.take(1))[0] == 0
    await one.give_back(1)
    assert (await other.take(1))[0] == 1
    await one.give_back(1)
    breaker.record(UnsentCall("429", throttled=True, retry_after_seconds=30))
    assert await breaker.open_seconds() > 20
    granted, wait = await other.take(1)
    assert (granted, wait > 20) == (0, True)
    breaker.record(PlacedCall("CA1", "queued"))
    await tasks.finish(5)
    assert (await other.take(1))[0] == 1


async def test_with_redis_away_each_worker_keeps_its_share_of_the_pace(floor: Floor, twilio: Simulator) -> None:
    services = await floor.services(twilio.url, DIALER_CALLS_PER_SECOND=2, REDIS_URL="redis://127.0.0.1:1")
    services.ownership.workers = 2
    limiter = RateLimiter(services, "AC1")
    assert (await limiter.take(5))[0] == 1
    granted, wait = await limiter.take(5)
    assert (granted, 0.5 < wait <= 1.0) == (0, True)


async def test_a_worker_whose_lease_ran_out_comes_back_as_another(floor: Floor, twilio: Simulator) -> None:
    business = await floor.database.business()
    async with floor.worker(twilio.url) as (_, services):

        async def owns_all() -> bool:
            return len(services.ownership.epochs) == 256

        await until(owns_all)
        first = services.ownership.incarnation
        await floor.database.pool.execute("UPDATE dialer.workers SET lease_until = now() - interval '1 second'")

        async def is_another() -> bool:
            return services.ownership.incarnation != first and await owns_all()

        await until(is_another)
        run = await floor.database.run(business, 1)

        async def dialled() -> bool:
            return (await floor.database.checked_run(business, run)).queued == 0

        await until(dialled)


async def test_what_stops_gives_everything_back_and_the_other_takes_it(floor: Floor, twilio: Simulator) -> None:
    async with floor.worker(twilio.url, "stays") as (_, stays):
        async with floor.worker(twilio.url, "goes") as (_, goes):

            async def both_are_there() -> bool:
                return stays.ownership.workers == goes.ownership.workers == 2

            await until(both_are_there)
        assert goes.ownership.epochs == {}

        async def has_all() -> bool:
            return len(stays.ownership.epochs) == 256

        await until(has_all)
        owners = await floor.database.pool.fetch("SELECT DISTINCT owner FROM dialer.partitions")
        assert [row["owner"] for row in owners] == [stays.ownership.incarnation]


async def test_one_poisoned_business_among_many(floor: Floor, twilio: Simulator) -> None:
    """Its claim fails in PostgreSQL; it is parked, and its neighbours in the same batch are dialled."""
    businesses = [await floor.database.business() for _ in range(12)]
    runs = {business: await floor.database.run(business, 2) for business in businesses}
    poisoned = businesses[5]
    # Its second lane entry would repeat an attempt's id: the CHECK refuses the whole batch it is in.
    await floor.database.pool.execute("UPDATE dialer.lanes SET cap = 0 WHERE business_id = $1", poisoned)

    async def others_dialled() -> bool:
        return all([(await floor.database.checked_run(b, run)).queued == 0 for b, run in runs.items() if b != poisoned])

    async with floor.worker(twilio.url):
        await until(others_dialled)
    assert (await floor.database.checked_run(poisoned, runs[poisoned])).queued == 2


async def test_each_business_has_its_share_wherever_it_is_driven(
    floor: Floor, twilio: Simulator, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten businesses at one worker, two at the other, which is 2 ms further from Redis."""
    # A machine that stands still for longer than a lease would move the businesses, and this would measure something else.
    monkeypatch.setattr(lease, "LEASE_SECONDS", 120.0)
    database, pace = floor.database, {"DIALER_CALLS_PER_SECOND": 20}
    async with (
        TcpProxy(redis_url, delay_seconds=0.001) as proxy,
        floor.worker(twilio.url, "near", **pace) as (_, near),
        floor.worker(twilio.url, "far", **pace, REDIS_URL=proxy.url) as (_, far),
    ):

        async def both_are_there() -> bool:
            return near.ownership.workers == far.ownership.workers == 2 and len(near.ownership.epochs) + len(far.ownership.epochs) == 256

        await until(both_are_there)
        await database.pool.execute("UPDATE dialer.partitions SET owner = NULL")

        async def each_has_some() -> bool:
            return min(len(near.ownership.epochs), len(far.ownership.epochs)) > 50 and await both_are_there()

        await until(each_has_some)
        driven: dict[bool, list[int]] = {True: [], False: []}
        while len(driven[True]) < 10 or len(driven[False]) < 2:
            business = await database.business(max_calls=100)
            partition = await database.pool.fetchval("SELECT partition FROM dialer.lanes WHERE business_id = $1", business)
            driven[partition in near.ownership.epochs].append(business)
        businesses = driven[True][:10] + driven[False][:2]
        for business in businesses:
            await database.run(business, 60, concurrency=100)

        async def dialled() -> bool:
            return bool(await database.pool.fetchval("SELECT count(*) >= 240 FROM dialer.attempts"))

        # Twelve seconds of the pace.
        await polling.until(dialled, 120, "240 calls")
        found = await database.pool.fetch("SELECT business_id, count(*) AS n FROM dialer.attempts WHERE state <> 'not_sent' GROUP BY 1")
    count = {row["business_id"]: row["n"] for row in found}
    fair = sum(count.values()) / len(businesses)
    # Of some twenty calls each: the moment of the count may fall between two turns.
    assert {b: count.get(b, 0) for b in businesses if abs(count.get(b, 0) - fair) > 0.2 * fair + 2} == {}


async def test_a_start_just_after_a_worker_has_come_waits_for_no_read(
    floor: Floor,
    twilio: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Partitions are taken some at a time, while the hints to the first of them are being waited for."""
    monkeypatch.setattr(router, "BLOCK_SECONDS", 2 * BOUND_SECONDS)
    monkeypatch.setattr(router, "POLL_SECONDS", 600.0)
    database = floor.database
    business = await database.business()
    async with floor.worker(twilio.url) as (_, services):

        async def all_taken() -> bool:
            return len(services.ownership.epochs) == 256

        await until(all_taken)
        run = await database.run(business, 1)
        partition = await database.pool.fetchval("SELECT partition FROM dialer.lanes WHERE business_id = $1", business)
        assert await services.streams.send_hint(partition, RunChanged(business, run, CommandType.START))

        async def is_called() -> bool:
            return (await database.checked_run(business, run)).queued == 0

        await until(is_called)
