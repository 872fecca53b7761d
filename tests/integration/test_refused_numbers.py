"""Numbers that the provider has refused: which other runs skip them, for how long, and what lifts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dialer.model import AttemptState
from sql.phones.phones import Phones
from telephony import refusals
from tests.integration.test_claim_rules import PHONE, lead, refused

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture


@pytest.mark.parametrize("rule", refusals.CODES, ids=lambda rule: str(rule.code))
async def test_a_number_that_the_provider_has_refused_is_skipped_by_another_run(database: DatabaseFixture, rule: refusals.Rule) -> None:
    business = await database.business()
    first = await database.run(business, [PHONE])
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.OVER, outcome="refused", error_code=rule.code)
    run = await database.run(business, [PHONE])
    is_of_number = rule.action is refusals.Action.LEAD
    taken, _ = await database.claim(business)
    assert (len(taken), await refused(database, run)) == ((0, [("number", "skip")]) if is_of_number else (1, []))
    assert await lead(database, run) == (("skipped", None, "number_refused") if is_of_number else ("dialing", None, None))
    assert (await database.checked_run(business, run)).skipped == is_of_number
    assert await lead(database, first) == ("failed", "refused", None)


async def test_a_refused_number_is_tried_by_the_run_that_calls_its_leads_again_and_after_90_days(database: DatabaseFixture) -> None:
    business = await database.business()
    first = await database.run(business, [PHONE])
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.OVER, outcome="refused", error_code=21211)
    run = await database.run(business, [PHONE])
    await database.pool.execute("UPDATE outbound_call_runs SET ancestors = ARRAY[$2::integer] WHERE id = $1", run, first)
    [again], _ = await database.claim(business)
    await database.record(again, AttemptState.OVER, outcome="busy")
    await database.pool.execute("UPDATE dialer.attempts SET created_at = created_at - interval '91 days'")
    await database.run(business, [PHONE])
    assert len((await database.claim(business))[0]) == 1


@pytest.mark.parametrize(("outcome", "taken"), [("completed", 1), ("busy", 1), ("no-answer", 1), ("failed", 0), ("canceled", 0)])
async def test_a_number_that_has_rung_since_is_called_again(database: DatabaseFixture, outcome: str, taken: int) -> None:
    business = await database.business()
    first = await database.run(business, [PHONE])
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.OVER, outcome="refused", error_code=21214)
    again = await database.run(business, [PHONE])
    await database.pool.execute("UPDATE outbound_call_runs SET ancestors = ARRAY[$2::integer] WHERE id = $1", again, first)
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.OVER, outcome=outcome)
    run = await database.run(business, [PHONE])
    assert len((await database.claim(business))[0]) == taken
    known = await Phones(database.pool).known(business, [PHONE], None)
    assert (known[0].is_refused if known else False) is not bool(taken), run
