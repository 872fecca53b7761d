"""After a fail-over or a restored backup no lead is taken before the calls the database has forgotten have been found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest_asyncio

from dialer.messages import CommandType
from dialer.model import AttemptState
from sql.histories import Histories, Stray
from sql.pool import NOTICE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.histories import History
    from tests.rows import Shop

MINE, THEIRS, FOREIGN = "+12025550001", "+12025550002", "+12025559999"
SHOWN_AFTER_SECONDS = 65.0


class Calls:
    """What the provider lists."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.histories = Histories(shop.pool)

    async def history(self) -> History:
        return await self.histories.present(SHOWN_AFTER_SECONDS)

    async def adopt(self, business: int, phones: Sequence[str] = (), history: History | None = None) -> int | None:
        calls = [Stray(f"CA{n}", phone, datetime.now(UTC) + timedelta(seconds=n)) for n, phone in enumerate(phones)]
        epoch = self._shop.epochs[await self._shop.partition(business)]
        return await self.histories.adopt_strays(
            self._shop.incarnation, epoch, business, history or await self.history(), calls, ring_seconds=30
        )


@pytest_asyncio.fixture
async def calls(shop: Shop) -> Calls:
    """The provider, after the database has come from elsewhere: the history it knows is not the one it is in."""
    return Calls(shop)


async def elsewhere(shop: Shop) -> None:
    """Let the database find itself in another history."""
    await shop.pool.execute("UPDATE dialer.histories SET name = 'another'")
    await shop.pool.execute(NOTICE)


async def test_nothing_is_taken_before_the_calls_are_listed(shop: Shop, calls: Calls) -> None:
    business, other = await shop.business(), await shop.business()
    run = await shop.run(business, 5)
    await shop.run(other, 5)
    await elsewhere(shop)
    intents, verdicts = await shop.claim(business, other)
    assert (intents, {verdict.word for verdict in verdicts.values()}) == ([], {"unlisted"})
    assert await calls.adopt(business) == 0
    intents, _ = await shop.claim(business, other)
    assert {intent.business_id for intent in intents} == {business}
    assert (await shop.seen(business, run)).in_progress == 3


async def test_a_forgotten_call_is_its_leads_and_holds_a_slot(shop: Shop, calls: Calls) -> None:
    business = await shop.business()
    run = await shop.run(business, [THEIRS, MINE, FOREIGN, "+12025550003", "+12025550004"])
    await elsewhere(shop)
    assert await calls.adopt(business, ["+12025558888", MINE]) == 1
    intents, verdicts = await shop.claim(business)
    assert [intent.phone for intent in intents] == [THEIRS, FOREIGN]
    assert verdicts[business].word == "full"
    assert (await shop.seen(business, run)).in_progress == 3
    [found] = [a for a in await shop.attempts.open_of_partitions(list(range(256))) if a.phone == MINE]
    assert (found.state, found.sid, found.look_in) == (AttemptState.PLACED, "CA1", 0)
    assert await shop.attempts.bound(["CA1"]) == {"CA1": found.attempt_id}


async def test_a_number_called_twice_is_one_call_of_one_lead(shop: Shop, calls: Calls) -> None:
    business = await shop.business()
    runs = [await shop.run(business, [MINE]), await shop.run(business, [MINE])]
    await elsewhere(shop)
    assert await calls.adopt(business, [MINE, MINE]) == 1
    assert [(await shop.seen(business, run)).in_progress for run in runs] == [1, 0]
    assert list(await shop.attempts.bound(["CA0", "CA1"])) == ["CA1"]


async def test_more_of_them_than_slots_all_count(shop: Shop, calls: Calls) -> None:
    business = await shop.business(max_calls=1)
    run = await shop.run(business, [MINE, THEIRS, FOREIGN])
    await elsewhere(shop)
    assert await calls.adopt(business, [MINE, THEIRS]) == 2
    assert len(await shop.inflight(business)) == 2
    assert (await shop.claim(business))[1][business].word == "full"
    assert (await shop.seen(business, run)).in_progress == 2


async def test_a_call_that_is_known_is_left_alone(shop: Shop, calls: Calls) -> None:
    business = await shop.business()
    await shop.run(business, [MINE, THEIRS])
    intents, _ = await shop.claim(business)
    await shop.learn(intents[0], AttemptState.PLACED, sid="CA0")
    await elsewhere(shop)
    # The first by its sid; the second may be the call of an attempt that is open, and the reconciler asks for that.
    assert await calls.adopt(business, [MINE, THEIRS]) == 0
    assert len(await shop.inflight(business)) == 2


async def test_a_lead_of_a_paused_run_has_its_call_and_one_of_a_cancelled_run_has_not(shop: Shop, calls: Calls) -> None:
    business = await shop.business()
    paused, cancelled = await shop.run(business, [MINE]), await shop.run(business, [THEIRS, FOREIGN])
    await shop.command(business, CommandType.PAUSE, paused)
    await shop.command(business, CommandType.CANCEL, cancelled)
    await elsewhere(shop)
    assert await calls.adopt(business, [MINE, THEIRS]) == 1
    assert (await shop.seen(business, paused)).in_progress == 1
    assert (await shop.seen(business, cancelled)).cancelled == 2


async def test_only_the_owner_may_say_so_and_only_of_the_present_history(shop: Shop, calls: Calls) -> None:
    business = await shop.business()
    await shop.run(business, 1)
    before = await calls.history()
    await elsewhere(shop)
    assert await calls.adopt(business, history=before) is None
    shop.incarnation, mine = uuid4(), shop.incarnation
    assert await calls.adopt(business) is None
    shop.incarnation = mine
    assert (await shop.claim(business))[1][business].word == "unlisted"


async def test_a_history_begins_once_and_numbers_go_on_above_the_forgotten_ones(shop: Shop, calls: Calls) -> None:
    business = await shop.business()
    await shop.run(business, 5)
    [first, *_], _ = await shop.claim(business)
    first_event = await shop.pool.fetchval("SELECT max(id) FROM dialer.outbox")
    before = await calls.history()
    await elsewhere(shop)
    await shop.pool.execute(NOTICE)
    now = await calls.history()
    assert now.id == before.id + 1
    assert 0 < now.wait_seconds <= SHOWN_AFTER_SECONDS
    newcomer = await shop.business()
    run = await shop.run(newcomer, 1)
    [intent], _ = await shop.claim(newcomer)
    assert intent.attempt_id > first.attempt_id + 1_000_000
    await shop.learn(intent, AttemptState.OVER, outcome="busy")
    assert await shop.pool.fetchval("SELECT min(id) FROM dialer.outbox WHERE run_id = $1", run) > first_event + 1_000_000
