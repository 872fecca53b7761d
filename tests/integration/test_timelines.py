"""After a fail-over or a restored backup no lead is taken before the calls the database has forgotten have been found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest_asyncio

from dialer.messages import CommandType
from dialer.model import AttemptState
from sql.attempts.verdicts import VerdictCode
from sql.pool import NOTICE_TIMELINE
from sql.timelines.timelines import OrphanedCall, Timelines
from tests.rows import ACCOUNT_SID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.timelines.timelines import Timeline
    from tests.rows import DatabaseFixture

MINE, THEIRS, FOREIGN = "+12025550001", "+12025550002", "+12025559999"
SHOWN_AFTER_SECONDS = 65.0


class Calls:
    """What the provider lists."""

    def __init__(self, shop: DatabaseFixture) -> None:
        self._shop = shop
        self.timelines = Timelines(shop.pool)

    async def timeline(self, business: int) -> Timeline:
        timeline = await self.timelines.present(business, SHOWN_AFTER_SECONDS)
        assert timeline
        return timeline

    async def adopt(self, business: int, phones: Sequence[str] = (), timeline: Timeline | None = None) -> int | None:
        calls = [OrphanedCall(f"CA{n}", phone, datetime.now(UTC) + timedelta(seconds=n)) for n, phone in enumerate(phones)]
        epoch = self._shop.epochs[await self._shop.partition(business)]
        return await self.timelines.adopt_calls(
            self._shop.incarnation,
            epoch,
            business,
            timeline or await self.timeline(business),
            calls,
            ring_seconds=30,
            account_sid=ACCOUNT_SID,
        )


@pytest_asyncio.fixture
async def calls(shop: DatabaseFixture) -> Calls:
    """The provider, after the database has come from elsewhere: the timeline it knows is not the one it is in."""
    return Calls(shop)


async def elsewhere(shop: DatabaseFixture) -> None:
    """Let the database find itself in another timeline."""
    await shop.pool.execute("UPDATE dialer.timelines SET name = 'another ' || id")
    await shop.pool.execute(NOTICE_TIMELINE)


async def test_nothing_is_taken_before_the_calls_are_listed(shop: DatabaseFixture, calls: Calls) -> None:
    business, other = await shop.business(), await shop.business()
    run = await shop.run(business, 5)
    await shop.run(other, 5)
    await elsewhere(shop)
    intents, verdicts = await shop.claim(business, other)
    assert (intents, {verdict.code for verdict in verdicts.values()}) == ([], {VerdictCode.UNLISTED})
    assert await calls.adopt(business) == 0
    intents, _ = await shop.claim(business, other)
    assert {intent.business_id for intent in intents} == {business}
    assert (await shop.checked_run(business, run)).in_progress == 3


async def test_a_forgotten_call_is_its_leads_and_holds_a_slot(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    run = await shop.run(business, [THEIRS, MINE, FOREIGN, "+12025550003", "+12025550004"])
    await elsewhere(shop)
    assert await calls.adopt(business, ["+12025558888", MINE]) == 1
    intents, verdicts = await shop.claim(business)
    assert [intent.phone for intent in intents] == [THEIRS, FOREIGN]
    assert verdicts[business].code == VerdictCode.FULL
    assert (await shop.checked_run(business, run)).in_progress == 3
    [found] = [a for a in await shop.attempts.open_of_partitions(list(range(256))) if a.phone == MINE]
    assert (found.state, found.sid, found.check_in) == (AttemptState.PLACED, "CA1", 0)
    assert await shop.attempts.bound(["CA1"]) == {"CA1": found.attempt_id}


async def test_two_calls_to_a_number_are_those_of_two_leads_that_wait(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    runs = [await shop.run(business, [MINE]), await shop.run(business, [MINE]), await shop.run(business, [MINE])]
    await elsewhere(shop)
    assert await calls.adopt(business, [MINE, MINE]) == 2
    assert [(await shop.checked_run(business, run)).in_progress for run in runs] == [1, 1, 0]
    assert set(await shop.attempts.bound(["CA0", "CA1"])) == {"CA0", "CA1"}


async def test_more_of_them_than_slots_all_count(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business(max_calls=1)
    run = await shop.run(business, [MINE, THEIRS, FOREIGN])
    await elsewhere(shop)
    assert await calls.adopt(business, [MINE, THEIRS]) == 2
    assert len(await shop.inflight(business)) == 2
    assert (await shop.claim(business))[1][business].code == VerdictCode.FULL
    assert (await shop.checked_run(business, run)).in_progress == 2


async def test_a_call_that_is_known_is_left_alone(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    await shop.run(business, [MINE, THEIRS])
    intents, _ = await shop.claim(business)
    await shop.record(intents[0], AttemptState.PLACED, sid="CA0")
    waits = await shop.run(business, [MINE, THEIRS])
    await elsewhere(shop)
    # The first by its sid; the second may be the call of an attempt that is open, and the reconciler asks for that.
    assert await calls.adopt(business, [MINE, THEIRS]) == 0
    assert len(await shop.inflight(business)) == 2
    assert (await shop.checked_run(business, waits)).queued == 2


async def test_a_second_call_to_a_number_whose_first_call_is_known(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    await shop.run(business, [MINE])
    [first], _ = await shop.claim(business)
    await shop.record(first, AttemptState.PLACED, sid="CA0")
    waits = await shop.run(business, [MINE])
    await elsewhere(shop)
    assert await calls.adopt(business, [MINE, MINE]) == 1
    assert (await shop.checked_run(business, waits)).in_progress == 1


async def test_a_run_whose_start_is_forgotten_waits_for_a_person(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    run = await shop.run(business, [MINE, THEIRS], start=False)
    await elsewhere(shop)
    assert await calls.adopt(business, [MINE]) == 1
    seen = await shop.checked_run(business, run)
    assert (seen.status, seen.in_progress, seen.queued) == ("paused", 1, 1)
    assert "was started" in (seen.last_error or "")
    assert (await shop.command(business, CommandType.RESUME, run)).accepted
    intents, _ = await shop.claim(business)
    assert [intent.phone for intent in intents] == [THEIRS]


async def test_who_has_missed_two_histories_is_compared_with_both(shop: DatabaseFixture, calls: Calls) -> None:
    early, late = await shop.business(), await shop.business()
    await elsewhere(shop)
    first = await calls.timeline(early)
    await calls.adopt(late)
    await shop.run(late, 1)
    [intent], _ = await shop.claim(late)
    await shop.pool.execute("UPDATE dialer.attempts SET created_at = now() + interval '1 hour' WHERE id = $1", intent.attempt_id)
    await elsewhere(shop)
    assert (await calls.timeline(early)).calls_from == first.calls_from
    assert (await calls.timeline(late)).calls_from > first.calls_from + timedelta(minutes=59)


async def test_a_backup_from_before_all_this_has_forgotten_calls_too(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    await shop.run(business, 5)
    [first, *_], _ = await shop.claim(business, permits=1)
    await shop.pool.execute("DELETE FROM dialer.timelines")
    await shop.pool.execute("UPDATE dialer.lanes SET timeline = NULL")
    await shop.pool.execute(NOTICE_TIMELINE)
    assert (await shop.claim(business))[1][business].code == VerdictCode.UNLISTED
    assert await calls.adopt(business) == 0
    intents, _ = await shop.claim(business)
    assert min(intent.attempt_id for intent in intents) > first.attempt_id + 1_000_000


async def test_a_lead_of_a_paused_run_has_its_call_and_one_of_a_cancelled_run_has_not(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    paused, cancelled = await shop.run(business, [MINE]), await shop.run(business, [THEIRS, FOREIGN])
    await shop.command(business, CommandType.PAUSE, paused)
    await shop.command(business, CommandType.CANCEL, cancelled)
    await elsewhere(shop)
    assert await calls.adopt(business, [MINE, THEIRS]) == 1
    assert (await shop.checked_run(business, paused)).in_progress == 1
    assert (await shop.checked_run(business, cancelled)).cancelled == 2


async def test_only_the_owner_may_say_so_and_only_of_the_present_history(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    await shop.run(business, 1)
    await elsewhere(shop)
    before = await calls.timeline(business)
    await elsewhere(shop)
    assert await calls.adopt(business, timeline=before) is None
    shop.incarnation, mine = uuid4(), shop.incarnation
    assert await calls.adopt(business) is None
    shop.incarnation = mine
    assert (await shop.claim(business))[1][business].code == VerdictCode.UNLISTED


async def test_a_history_begins_once_and_numbers_go_on_above_the_forgotten_ones(shop: DatabaseFixture, calls: Calls) -> None:
    business = await shop.business()
    await shop.run(business, 5)
    [first, *_], _ = await shop.claim(business)
    first_event = await shop.pool.fetchval("SELECT max(id) FROM dialer.outbox")
    assert await calls.timelines.present(business, SHOWN_AFTER_SECONDS) is None
    await elsewhere(shop)
    await shop.pool.execute(NOTICE_TIMELINE)
    assert await shop.pool.fetchval("SELECT count(*) FROM dialer.timelines") == 2
    assert 0 < (await calls.timeline(business)).wait_seconds <= SHOWN_AFTER_SECONDS
    newcomer = await shop.business()
    run = await shop.run(newcomer, 1)
    [intent], _ = await shop.claim(newcomer)
    assert intent.attempt_id > first.attempt_id + 1_000_000
    await shop.record(intent, AttemptState.OVER, outcome="busy")
    assert await shop.pool.fetchval("SELECT min(id) FROM dialer.outbox WHERE run_id = $1", run) > first_event + 1_000_000
