"""How long replaced credentials are kept: a week, and as long as a call of their account may be open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dialer.model import AttemptState
from tests.rows import ACCOUNT_SID

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

FORMER, PRESENT = "AC" + "1" * 32, "AC" + "2" * 32
AGE = "UPDATE dialer.provider_accounts SET replaced_at = replaced_at - $1::float8 * interval '1 day'"


async def kept(database: DatabaseFixture) -> list[str]:
    await database.commands.forget(100)
    rows = await database.pool.fetch("SELECT account_sid FROM dialer.provider_accounts ORDER BY id")
    return [row["account_sid"] for row in rows]


async def test_a_former_account_is_kept_for_a_week_and_while_a_call_of_it_is_open(database: DatabaseFixture) -> None:
    business, rival = await database.business(), await database.business()
    await database.own_account(business, FORMER, "x")
    await database.own_account(rival, FORMER, "x")
    await database.run(business, 1)
    [attempt], _ = await database.claim(business)
    assert attempt.account_sid == FORMER
    for one in (business, rival):
        await database.own_account(one, PRESENT, "y")
    assert await kept(database) == [FORMER, FORMER, PRESENT, PRESENT]
    await database.pool.execute(AGE, 6.9)
    assert await kept(database) == [FORMER, FORMER, PRESENT, PRESENT]
    await database.pool.execute(AGE, 0.2)
    # That of the rival goes: no call of the rival is open.
    assert await kept(database) == [FORMER, PRESENT, PRESENT]
    await database.record(attempt, AttemptState.OVER, sid="CA1", outcome="completed")
    assert await kept(database) == [PRESENT, PRESENT]


async def test_a_second_call_keeps_the_account_that_has_to_end_it(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.own_account(business, FORMER, "x")
    await database.run(business, 1)
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.LIVE, sid="CA1")
    await database.record(attempt, AttemptState.LIVE, sid="CA2")
    await database.record(attempt, AttemptState.OVER, sid="CA1", outcome="completed")
    await database.own_account(business, PRESENT, "y")
    await database.pool.execute(AGE, 8)
    assert await kept(database) == [FORMER, PRESENT]
    await database.attempts.excess_over(business, "CA2")
    assert await kept(database) == [PRESENT]


async def test_a_former_token_goes_although_calls_of_the_account_are_open(database: DatabaseFixture) -> None:
    business = await database.business()
    for token in ("old", "new"):
        await database.own_account(business, FORMER, token)
    await database.run(business, 1)
    await database.claim(business)
    await database.pool.execute(AGE, 8)
    assert await kept(database) == [FORMER]


async def test_a_former_default_account_is_kept_while_any_business_has_a_call_of_it(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 1)
    [attempt], _ = await database.claim(business)
    for sid in (ACCOUNT_SID, PRESENT):
        await database.pool.execute("SELECT dialer.keep_account_v1(0, $1, 'auth_token', 'sealed', NULL)", sid)
    await database.pool.execute(AGE, 8)
    assert await kept(database) == [ACCOUNT_SID, PRESENT]
    await database.record(attempt, AttemptState.NOT_SENT, reason="gate")
    assert await kept(database) == [PRESENT]


@pytest.mark.parametrize("times", [3, 12])
async def test_of_one_account_a_few_former_credentials_are_kept(database: DatabaseFixture, times: int) -> None:
    """Each is tried when a callback is verified."""
    business = await database.business()
    for n in range(times):
        await database.own_account(business, FORMER, f"token {n}")
    assert len(await kept(database)) == min(times, 6)
