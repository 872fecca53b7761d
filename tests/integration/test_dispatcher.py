"""The gate of an account when something goes wrong in it: a lock of somebody else's, an error of its own, a call nobody reports."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest_asyncio

from actors.dispatch.dispatcher import Dispatcher
from actors.dispatch.rate_limiter import RateLimiter
from actors.tasks import Tasks
from sql.attempts.attempts import ClaimRequest
from sql.attempts.verdicts import VerdictCode
from tests.chaos import waiting
from tests.integration.test_worker import BOUND_SECONDS, Floor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from actors.dispatch.dispatcher import ClaimResult
    from actors.services import Services
    from tests.rows import DatabaseFixture


@pytest_asyncio.fixture
async def servers(shop: DatabaseFixture, database_url: str, redis_url: str) -> AsyncIterator[Floor]:
    await shop.workers.leave(shop.incarnation)
    async with AsyncExitStack() as stack:
        yield Floor(shop, database_url, redis_url, stack)


class Answers:
    """What the businesses are told, and what they do then."""

    def __init__(self, services: Services, limiter: RateLimiter) -> None:
        self.services, self.tasks = services, Tasks()
        self.heard: dict[int, list[str]] = {}
        self.broken: set[int] = set()
        self.dispatcher = Dispatcher(services, self.tasks, limiter, self.hear)
        self.tasks.spawn(self.dispatcher.run())

    def hear(self, business_id: int, message: ClaimResult) -> None:
        self.heard.setdefault(business_id, []).append(VerdictCode.TAKEN if message.intents else message.verdict.code)
        if business_id in self.broken:
            raise LookupError(business_id)

    async def code(self, business_id: int, count: int = 1) -> str:
        async def answered() -> bool:
            return len(self.heard.get(business_id, [])) >= count

        await waiting.until(answered, BOUND_SECONDS, f"business {business_id} is answered")
        return self.heard[business_id][-1]

    async def close(self) -> None:
        self.dispatcher.close()
        await self.tasks.finish(5)


class Stumbles(RateLimiter):
    """A limiter that fails as many times as told: any error of the gate's own round."""

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


async def ask_for(shop: DatabaseFixture, epochs: dict[int, int], business: int) -> ClaimRequest:
    partition = await shop.pool.fetchval("SELECT partition FROM dialer.lanes WHERE business_id = $1", business)
    return ClaimRequest(business, epochs[partition], 1)


async def test_an_error_in_a_round_ends_neither_the_gate_nor_the_wait(servers: Floor) -> None:
    services, epochs = await owned(servers)
    business = await servers.shop.business()
    await servers.shop.run(business, 2)
    answers = Answers(services, Stumbles(services, "AC1"))
    answers.dispatcher.ask(await ask_for(servers.shop, epochs, business))
    assert await answers.code(business) == VerdictCode.TAKEN
    await answers.close()


async def test_one_that_does_not_take_its_answer_does_not_keep_it_from_the_others(servers: Floor) -> None:
    services, epochs = await owned(servers)
    businesses = [await servers.shop.business() for _ in range(4)]
    for business in businesses:
        await servers.shop.run(business, 2)
    answers = Answers(services, RateLimiter(services, "AC1"))
    answers.broken = {businesses[1]}
    for business in businesses:
        answers.dispatcher.ask(await ask_for(servers.shop, epochs, business))
    assert [await answers.code(business) for business in businesses] == [VerdictCode.TAKEN] * 4
    answers.dispatcher.ask(await ask_for(servers.shop, epochs, businesses[3]))
    assert await answers.code(businesses[3], 2) == VerdictCode.TAKEN
    await answers.close()


async def test_a_foreign_lock_on_one_business_s_row_is_its_own_affair(servers: Floor) -> None:
    """It is told `busy`; the others in its batch are claimed for, and the next ones do not even wait for the lock once."""
    services, epochs = await owned(servers)
    businesses = [await servers.shop.business() for _ in range(6)]
    runs = {business: await servers.shop.run(business, 3) for business in businesses}
    stuck, others = businesses[2], [b for b in businesses if b != businesses[2]]
    answers = Answers(services, RateLimiter(services, "AC1"))
    async with servers.shop.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM public.outbound_call_jobs WHERE run_id = $1 FOR UPDATE", runs[stuck])
        for business in businesses:
            answers.dispatcher.ask(await ask_for(servers.shop, epochs, business))
        assert [await answers.code(business) for business in others] == [VerdictCode.TAKEN] * 5
        assert await answers.code(stuck) in {VerdictCode.BUSY, VerdictCode.EMPTY, VerdictCode.PUT_OFF, VerdictCode.AGAIN}
        loop = asyncio.get_running_loop()
        answers.dispatcher.ask(await ask_for(servers.shop, epochs, stuck))
        begun = loop.time()
        for business in others:
            answers.dispatcher.ask(await ask_for(servers.shop, epochs, business))
        assert [await answers.code(business, 2) for business in others] == [VerdictCode.TAKEN] * 5
        # The lock is waited for two seconds; ten times what these take.
        assert loop.time() - begun < 1.5
    count = len(answers.heard[stuck])
    answers.dispatcher.ask(await ask_for(servers.shop, epochs, stuck))
    await waiting.until(lambda: _taken(answers, stuck, count), BOUND_SECONDS, "it goes on when the lock is gone")
    await answers.close()


async def _taken(answers: Answers, business: int, count: int) -> bool:
    return VerdictCode.TAKEN in answers.heard[business][count - 1 :]


async def test_a_proof_that_never_comes_is_not_waited_for_for_ever(servers: Floor) -> None:
    """A call let through alone after a failure, and lost with its coroutine."""
    services, epochs = await owned(servers)
    business = await servers.shop.business()
    await servers.shop.run(business, 3)
    answers = Answers(services, RateLimiter(services, "AC1"))
    answers.dispatcher.ask(await ask_for(servers.shop, epochs, business))
    assert await answers.code(business) == VerdictCode.TAKEN
    answers.dispatcher._failures = 1
    answers.dispatcher._proof_until = services.clock.boot() + 1
    answers.dispatcher.ask(await ask_for(servers.shop, epochs, business))
    assert await answers.code(business, 2) == VerdictCode.TAKEN
    await answers.close()
