"""Permits of one account over several workers, on a real Valkey: nobody loses because of the distance, each business has its share."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_asyncio
import redis.asyncio as redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.dispatch.rate_limiter import GIVE_BACK, GONE_SECONDS, TAKE, RateLimiter
from actors.metrics import WorkerMetrics
from actors.services import CallPolicy, Ownership
from dialer.clock import SystemClock, SystemIds
from dialer.streams.client import Streams, account_key, turns_key
from tests.chaos import polling
from tests.simulation.permits import Account
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from actors.services import Services


ACCOUNT = "AC1"
FAR_SECONDS = 0.001  # each way: 2 ms for a question and its answer
FAIR = 0.2


class LimiterServices:
    """The services that a rate limiter needs."""

    def __init__(self, url: str, rate: float) -> None:
        self.clock, self.ids = SystemClock(), SystemIds()
        self.streams = Streams(url, self.clock)
        self.policy = CallPolicy("", 30, 60, 60, rate, ACCOUNT)
        self.ownership = Ownership(self.ids.uuid(), {})
        self.metrics = WorkerMetrics()

    def limiter(self) -> RateLimiter:
        return RateLimiter(cast("Services", self), ACCOUNT)


@pytest_asyncio.fixture
async def open_things() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def needs(stack: AsyncExitStack, url: str, rate: float) -> LimiterServices:
    found = LimiterServices(url, rate)
    stack.push_async_callback(found.streams.close)
    return found


async def keep_asking(limiter: RateLimiter, businesses: int, count: Counter[str], name: str, enough: int) -> None:
    """A dispatcher whose businesses always want more."""
    while count.total() < enough:
        granted, wait = await limiter.take(businesses * 50, businesses=businesses, most=32)
        count[name] += granted
        if not granted:
            await polling.lasting(wait)


@pytest.mark.parametrize(("rate", "enough"), [(40, 120), (400, 1600)])
@pytest.mark.parametrize(("near", "far"), [(1, 1), (10, 2), (2, 10)])
async def test_who_is_further_from_redis_gets_as_much(
    redis_url: str, open_things: AsyncExitStack, rate: float, enough: int, near: int, far: int
) -> None:
    proxy = await open_things.enter_async_context(TcpProxy(redis_url, delay_seconds=FAR_SECONDS))
    count: Counter[str] = Counter()
    one, other = await needs(open_things, redis_url, rate), await needs(open_things, proxy.url, rate)
    begun = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_asking(one.limiter(), near, count, "near", enough))
        group.create_task(keep_asking(other.limiter(), far, count, "far", enough))
    seconds = asyncio.get_running_loop().time() - begun
    assert count["near"] / near == pytest.approx(count.total() / (near + far), rel=FAIR)
    assert count["far"] / far == pytest.approx(count.total() / (near + far), rel=FAIR)
    # A tenth of a second's worth at once, and a quarter kept for each.
    assert count.total() <= rate * (seconds + 0.6) + 3


async def test_a_business_that_asks_for_one_at_a_time_gets_no_more_than_its_share(redis_url: str, open_things: AsyncExitStack) -> None:
    """Who leaves and comes back has not forgotten what it had."""
    greedy, modest = [(await needs(open_things, redis_url, 100)).limiter() for _ in range(2)]
    count: Counter[str] = Counter()

    async def one_at_a_time() -> None:
        while count.total() < 200:
            granted, wait = await modest.take(1)
            count["modest"] += granted
            if granted:
                await modest.leave()
            else:
                await polling.lasting(wait)

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_asking(greedy, 9, count, "greedy", 200))
        group.create_task(one_at_a_time())
    assert count["modest"] == pytest.approx(20, abs=6)


async def test_a_worker_that_dies_holding_permits_gives_them_back(redis_url: str, open_things: AsyncExitStack) -> None:
    """It has been granted some that it never fetches, and its turn: the other has the whole pace again after two seconds."""
    lives, dies = [await needs(open_things, redis_url, 20) for _ in range(2)]
    await dies.limiter().take(100, businesses=50, most=1)
    limiter, granted = lives.limiter(), 0
    turns = turns_key(ACCOUNT)
    raw = await open_things.enter_async_context(redis.Redis.from_url(redis_url, decode_responses=True))

    async def kept() -> int:
        found: Any = await raw.hget(turns, dies.ownership.incarnation.hex)
        return int(found.split()[4]) if found else 0

    most = 0
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + GONE_SECONDS + 2:
        taken, wait = await limiter.take(50)
        granted += taken
        most = max(most, await kept())
        if not taken:
            await polling.lasting(wait)
    assert most == 5
    assert await kept() == 0
    # It never stood still: what was kept for the dead one is a quarter of a second's worth.
    assert granted >= 20 * (GONE_SECONDS + 2) * 0.8


async def test_no_pace_asks_nobody(open_things: AsyncExitStack) -> None:
    limiter = (await needs(open_things, "redis://127.0.0.1:1", 0)).limiter()
    assert await limiter.take(100, businesses=10, most=32) == (32, 0.0)


async def test_a_redis_that_hangs_leaves_each_worker_its_share(redis_url: str, open_things: AsyncExitStack) -> None:
    """Not a permit a time-out: the pace divided by the workers, from the first moment on."""
    proxy = await open_things.enter_async_context(TcpProxy(redis_url))
    services = await needs(open_things, proxy.url, 40)
    services.ownership.workers = 2
    limiter, loop = services.limiter(), asyncio.get_running_loop()
    assert (await limiter.take(10))[0] > 0
    proxy.hanging = True
    granted, begun = 0, loop.time()
    while loop.time() < begun + 4:
        taken, wait = await limiter.take(10)
        granted += taken
        if not taken:
            await polling.lasting(wait)
    assert 50 <= granted <= 90


CALLS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 4), st.integers(0, 9), st.integers(1, 4), st.integers(0, 3)), max_size=40
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls=CALLS)
def test_the_twin_of_the_simulation_does_the_same(valkey_address: str, calls: list[tuple[str, int, int, int, int]]) -> None:
    """Without a pace to speak of, so that the clock is in none of the answers."""

    async def compare() -> None:
        client = redis.Redis.from_url(valkey_address)
        key = account_key("twin")
        await client.delete(key, f"{key}:turns")
        twin, burst = Account(), "7.0"
        for name, businesses, wanted, most, back in calls:
            arguments = ["0.000000001", burst, "60", "60", name, str(businesses), str(wanted), str(most), "0.5", "4"]
            found: Any = await client.eval(TAKE, 2, key, f"{key}:turns", *arguments)
            assert found[0] == twin.take(0.0, arguments)[0]
            await client.eval(GIVE_BACK, 1, key, burst, str(back), "60")
            twin.give_back(float(burst), back)
        await client.aclose()

    asyncio.run(compare())


@pytest.fixture
def valkey_address(redis_url: str) -> str:
    return redis_url


async def test_an_account_s_own_pace_comes_before_that_of_the_settings(open_things: AsyncExitStack, redis_url: str) -> None:
    limiter = (await needs(open_things, redis_url, 0)).limiter()
    assert (await limiter.take(5))[0] == 5
    limiter.set_pace(0.01)
    assert [(await limiter.take(5))[0] for _ in range(2)] == [1, 0]
    limiter.set_pace(None)
    assert (await limiter.take(5))[0] == 5
