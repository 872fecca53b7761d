"""A limit for each business: many requests of one do not block a request of another."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from actors.keyed_semaphore import KeyedSemaphore
from dialer.sealing import Seal
from telephony.accounts import AccountBook

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


def test_an_account_is_known_to_its_business_only() -> None:
    """A business that names the account of another cannot use its token."""
    seal = Seal("x" * 40, "account")
    book = AccountBook("AC0", SecretStr("default"), seal)
    book.account(1, "AC1", seal.close(b"mine"))
    book.account(1, "AC2", seal.close(b"newer"))
    book.account(2, "AC1", seal.close(b"wrong"))

    def token(business_id: int, sid: str) -> str | None:
        account = book.of(business_id, sid)
        return account.auth_token.get_secret_value() if account else None

    assert (token(1, "AC1"), token(1, "AC2"), token(2, "AC1")) == ("mine", "newer", "wrong")
    assert (token(2, "AC2"), token(3, "AC1"), token(3, "AC0"), token(3, "AC9")) == (None, None, "default", None)
