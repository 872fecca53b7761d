"""The dispatcher of an account under errors: a foreign lock, an error of its own, a call without a result."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest_asyncio

from actors.dispatch.circuit_breaker import CircuitBreaker
from actors.dispatch.dispatcher import Dispatcher
from actors.dispatch.rate_limiter import RateLimiter
from dialer.concurrency.tasks import Tasks
from sql.attempts.attempts import ClaimRequest
from sql.attempts.verdicts import VerdictCode
from tests.chaos import polling
from tests.integration.test_worker import BOUND_SECONDS, Floor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from actors.dispatch.dispatcher import ClaimResult
    from actors.services import Services
    from tests.rows import DatabaseFixture


@pytest_asyncio.fixture
async def servers(database: DatabaseFixture, database_url: str, redis_url: str) -> AsyncIterator[Floor]:
    await database.workers.leave(database.incarnation)
    async with AsyncExitStack() as stack:
        yield Floor(database, database_url, redis_url, stack)


class Answers:
    """The answers that the businesses get."""

    def __init__(self, services: Services, limiter: RateLimiter) -> None:
        self.services, self.tasks = services, Tasks()
        self.codes: dict[int, list[str]] = {}
        self.broken: set[int] = set()
        self.breaker = CircuitBreaker(services, self.tasks, "AC1")
        self.dispatcher = Dispatcher(services, self.tasks, limiter, self.breaker, self.claimed)
        self.tasks.spawn(self.dispatcher.loop.run())

    def claimed(self, business_id: int, result: ClaimResult) -> None:
        self.codes.setdefault(business_id, []).append(VerdictCode.TAKEN if result.attempts else result.verdict.code)
        if business_id in self.broken:
            raise LookupError(business_id)

    async def code(self, business_id: int, count: int = 1) -> str:
        async def answered() -> bool:
            return len(self.codes.get(business_id, [])) >= count

        await polling.until(answered, BOUND_SECONDS, f"business {business_id} is answered")
        return self.codes[business_id][-1]

    async def close(self) -> None:
        self.dispatcher.loop.close()
        await self.tasks.finish(5)


class Stumbles(RateLimiter):
    """A limiter that fails the first `times`: any error of the dispatcher's own round."""

    times = 1

    async def take(self, wanted: int, *, businesses: int = 1, most: int | None = None) -> tuple[int, float]:
        if self.times:
            self.times -= 1
            raise ZeroDivisionError
        return await super().take(wanted, businesses=businesses, most=most)


async def owned(servers: Floor) -> tuple[Services, dict[int, int]]:
    services = await servers.services("http://127.0.0.1:9")
    await services.workers.join(services.ownership.incarnation, "one", 3600)
    return services, await services.workers.take_over(services.ownership.incarnation, list(range(256)))


async def request_for(database: DatabaseFixture, epochs: dict[int, int], business: int) -> ClaimRequest:
    partition = await database.pool.fetchval("SELECT partition FROM dialer.lanes WHERE business_id = $1", business)
    return ClaimRequest(business, epochs[partition], 1)


async def test_an_error_in_a_round_ends_neither_the_dispatcher_nor_the_wait(servers: Floor) -> None:
    services, epochs = await owned(servers)
    business = await servers.database.business()
    await servers.database.run(business, 2)
    answers = Answers(services, Stumbles(services, "AC1"))
    answers.dispatcher.enqueue(await request_for(servers.database, epochs, business))
    assert await answers.code(business) == VerdictCode.TAKEN
    await answers.close()


async def test_a_business_that_fails_on_its_answer_does_not_affect_the_others(servers: Floor) -> None:
    services, epochs = await owned(servers)
    businesses = [await servers.database.business() for _ in range(4)]
    for business in businesses:
        await servers.database.run(business, 2)
    answers = Answers(services, RateLimiter(services, "AC1"))
    answers.broken = {businesses[1]}
    for business in businesses:
        answers.dispatcher.enqueue(await request_for(servers.database, epochs, business))
    assert [await answers.code(business) for business in businesses] == [VerdictCode.TAKEN] * 4
    answers.dispatcher.enqueue(await request_for(servers.database, epochs, businesses[3]))
    assert await answers.code(businesses[3], 2) == VerdictCode.TAKEN
    await answers.close()


async def test_a_foreign_lock_on_one_business_s_row_delays_only_that_business(servers: Floor) -> None:
    """It gets the verdict `busy`; the others in its batch are claimed for, and later claims do not wait for the lock at all."""
    services, epochs = await owned(servers)
    businesses = [await servers.database.business() for _ in range(6)]
    runs = {business: await servers.database.run(business, 3) for business in businesses}
    stuck, others = businesses[2], [b for b in businesses if b != businesses[2]]
    answers = Answers(services, RateLimiter(services, "AC1"))
    async with servers.database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM public.outbound_call_jobs WHERE run_id = $1 FOR UPDATE", runs[stuck])
        for business in businesses:
            answers.dispatcher.enqueue(await request_for(servers.database, epochs, business))
        assert [await answers.code(business) for business in others] == [VerdictCode.TAKEN] * 5
        assert await answers.code(stuck) in {VerdictCode.BUSY, VerdictCode.EMPTY, VerdictCode.PUT_OFF, VerdictCode.AGAIN}
        loop = asyncio.get_running_loop()
        answers.dispatcher.enqueue(await request_for(servers.database, epochs, stuck))
        begun = loop.time()
        for business in others:
            answers.dispatcher.enqueue(await request_for(servers.database, epochs, business))
        assert [await answers.code(business, 2) for business in others] == [VerdictCode.TAKEN] * 5
        # The lock is waited for two seconds; ten times what these take.
        assert loop.time() - begun < 1.5
    count = len(answers.codes[stuck])
    answers.dispatcher.enqueue(await request_for(servers.database, epochs, stuck))
    await polling.until(lambda: _taken(answers, stuck, count), BOUND_SECONDS, "it goes on when the lock is gone")
    await answers.close()


async def _taken(answers: Answers, business: int, count: int) -> bool:
    return VerdictCode.TAKEN in answers.codes[business][count - 1 :]


async def test_a_result_that_never_comes_is_not_waited_for_for_ever(servers: Floor) -> None:
    """A call let through alone after a failure, and lost with its coroutine."""
    services, epochs = await owned(servers)
    business = await servers.database.business()
    await servers.database.run(business, 3)
    answers = Answers(services, RateLimiter(services, "AC1"))
    answers.dispatcher.enqueue(await request_for(servers.database, epochs, business))
    assert await answers.code(business) == VerdictCode.TAKEN
    answers.breaker._failures = 1
    answers.breaker._results_until = services.clock.boot() + 1
    answers.dispatcher.enqueue(await request_for(servers.database, epochs, business))
    assert await answers.code(business, 2) == VerdictCode.TAKEN
    await answers.close()
