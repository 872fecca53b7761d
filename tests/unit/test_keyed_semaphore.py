"""A limit for each business: many requests of one do not block a request of another."""

from __future__ import annotations

import asyncio

from actors.keyed_semaphore import KeyedSemaphore

MANY, OTHER, LIMIT = 1, 2, 3


async def test_each_business_has_a_limit_of_its_own() -> None:
    semaphore, inside, done = KeyedSemaphore[int](LIMIT), [0], asyncio.Event()
    most = 0

    async def hold() -> None:
        nonlocal most
        async with semaphore.hold(MANY):
            inside[0] += 1
            most = max(most, inside[0])
            await done.wait()
            inside[0] -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(hold())
        await asyncio.sleep(0)
        async with asyncio.timeout(1), semaphore.hold(OTHER):
            assert inside[0] == LIMIT
        done.set()
    assert most == LIMIT
    assert semaphore._semaphores == {}, "no key is kept without holders"
