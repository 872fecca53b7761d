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

    def __init__(self, database: DatabaseFixture) -> None:
        self._database = database
        self.timelines = Timelines(database.pool)

    async def timeline(self, business: int) -> Timeline:
        timeline = await self.timelines.present(business, SHOWN_AFTER_SECONDS)
        assert timeline
        return timeline

    async def adopt(
        self, business: int, phones: Sequence[str] = (), timeline: Timeline | None = None, caller_id: str | None = None
    ) -> int | None:
        calls = [OrphanedCall(f"CA{n}", phone, datetime.now(UTC) + timedelta(seconds=n), caller_id) for n, phone in enumerate(phones)]
        epoch = self._database.epochs[await self._database.partition(business)]
        return await self.timelines.adopt_calls(
            self._database.incarnation,
            epoch,
            business,
            timeline or await self.timeline(business),
            calls,
            ring_seconds=30,
            max_minutes=10,
            account_sid=ACCOUNT_SID,
        )


@pytest_asyncio.fixture
async def calls(database: DatabaseFixture) -> Calls:
    """The provider, after the database has come from elsewhere: the timeline it knows is not the one it is in."""
    return Calls(database)


async def elsewhere(database: DatabaseFixture) -> None:
    """Let the database find itself in another timeline."""
    await database.pool.execute("UPDATE dialer.timelines SET name = 'another ' || id")
    await database.pool.execute(NOTICE_TIMELINE)


async def test_nothing_is_taken_before_the_calls_are_listed(database: DatabaseFixture, calls: Calls) -> None:
    business, other = await database.business(), await database.business()
    run = await database.run(business, 5)
    await database.run(other, 5)
    await elsewhere(database)
    attempts, verdicts = await database.claim(business, other)
    assert (attempts, {verdict.code for verdict in verdicts.values()}) == ([], {VerdictCode.UNLISTED})
    assert await calls.adopt(business) == 0
    attempts, _ = await database.claim(business, other)
    assert {attempt.business_id for attempt in attempts} == {business}
    assert (await database.checked_run(business, run)).in_progress == 3


async def test_a_forgotten_call_is_its_leads_and_holds_a_slot(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    run = await database.run(business, [THEIRS, MINE, FOREIGN, "+12025550003", "+12025550004"])
    await elsewhere(database)
    assert await calls.adopt(business, ["+12025558888", MINE]) == 1
    attempts, verdicts = await database.claim(business)
    assert [attempt.phone for attempt in attempts] == [THEIRS, FOREIGN]
    assert verdicts[business].code == VerdictCode.FULL
    assert (await database.checked_run(business, run)).in_progress == 3
    [found] = [a for a in await database.attempts.open_of_partitions(list(range(256))) if a.phone == MINE]
    assert (found.state, found.sid, found.check_in) == (AttemptState.PLACED, "CA1", 0)
    assert await database.attempts.bound(["CA1"]) == {"CA1": found.attempt_id}


async def test_a_forgotten_call_keeps_the_number_it_came_from(database: DatabaseFixture, calls: Calls) -> None:
    """It is looked for in the provider's list by that number later on."""
    business = await database.business()
    await database.run(business, ["+12025550190", "+12025550191"])
    await elsewhere(database)
    assert await calls.adopt(business, ["+12025550190"], caller_id="+12125550100") == 1
    await elsewhere(database)
    assert await calls.adopt(business, ["+12025550190", "+12025550191"]) == 1
    rows = await database.pool.fetch("SELECT from_number FROM dialer.attempts ORDER BY id")
    assert [row["from_number"] for row in rows] == ["+12125550100", "+12025550100"]


async def test_a_forgotten_call_counts_for_the_budget(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    run = await database.run(business, [MINE, THEIRS, FOREIGN])
    await database.pool.execute("""UPDATE outbound_call_runs SET settings = '{"budget": {"calls": 2}}' WHERE id = $1""", run)
    await elsewhere(database)
    assert await calls.adopt(business, [MINE]) == 1
    assert len((await database.claim(business))[0]) == 1
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.in_progress, seen.queued) == ("paused", 2, 1)


async def test_two_calls_to_a_number_are_those_of_two_leads_that_wait(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    runs = [await database.run(business, [MINE]), await database.run(business, [MINE]), await database.run(business, [MINE])]
    await elsewhere(database)
    assert await calls.adopt(business, [MINE, MINE]) == 2
    assert [(await database.checked_run(business, run)).in_progress for run in runs] == [1, 1, 0]
    assert set(await database.attempts.bound(["CA0", "CA1"])) == {"CA0", "CA1"}


async def test_more_of_them_than_slots_all_count(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business(max_calls=1)
    run = await database.run(business, [MINE, THEIRS, FOREIGN])
    await elsewhere(database)
    assert await calls.adopt(business, [MINE, THEIRS]) == 2
    assert len(await database.inflight(business)) == 2
    assert (await database.claim(business))[1][business].code == VerdictCode.FULL
    assert (await database.checked_run(business, run)).in_progress == 2


async def test_a_call_that_is_known_is_left_alone(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    await database.run(business, [MINE, THEIRS])
    attempts, _ = await database.claim(business)
    await database.record(attempts[0], AttemptState.PLACED, sid="CA0")
    waits = await database.run(business, [MINE, THEIRS])
    await elsewhere(database)
    # The first by its sid; the second may be the call of an attempt that is open, and the reconciler asks for that.
    assert await calls.adopt(business, [MINE, THEIRS]) == 0
    assert len(await database.inflight(business)) == 2
    assert (await database.checked_run(business, waits)).queued == 2


async def test_a_second_call_to_a_number_whose_first_call_is_known(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    await database.run(business, [MINE])
    [first], _ = await database.claim(business)
    await database.record(first, AttemptState.PLACED, sid="CA0")
    waits = await database.run(business, [MINE])
    await elsewhere(database)
    assert await calls.adopt(business, [MINE, MINE]) == 1
    assert (await database.checked_run(business, waits)).in_progress == 1


async def test_a_run_whose_start_is_forgotten_waits_for_a_person(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    run = await database.run(business, [MINE, THEIRS], start=False)
    await elsewhere(database)
    assert await calls.adopt(business, [MINE]) == 1
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.in_progress, seen.queued) == ("paused", 1, 1)
    assert "was started" in (seen.last_error or "")
    assert seen.last_error_cause == {"kind": "lost_start"}
    assert (await database.command(business, CommandType.RESUME, run)).accepted
    attempts, _ = await database.claim(business)
    assert [attempt.phone for attempt in attempts] == [THEIRS]


async def test_who_has_missed_two_timelines_is_compared_with_both(database: DatabaseFixture, calls: Calls) -> None:
    early, late = await database.business(), await database.business()
    await elsewhere(database)
    first = await calls.timeline(early)
    await calls.adopt(late)
    await database.run(late, 1)
    [attempt], _ = await database.claim(late)
    await database.pool.execute("UPDATE dialer.attempts SET created_at = now() + interval '1 hour' WHERE id = $1", attempt.attempt_id)
    await elsewhere(database)
    assert (await calls.timeline(early)).calls_from == first.calls_from
    assert (await calls.timeline(late)).calls_from > first.calls_from + timedelta(minutes=59)


async def test_a_backup_from_before_all_this_has_forgotten_calls_too(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    await database.run(business, 5)
    [first, *_], _ = await database.claim(business, permits=1)
    await database.pool.execute("DELETE FROM dialer.timelines")
    await database.pool.execute("UPDATE dialer.lanes SET timeline = NULL")
    await database.pool.execute(NOTICE_TIMELINE)
    assert (await database.claim(business))[1][business].code == VerdictCode.UNLISTED
    assert await calls.adopt(business) == 0
    attempts, _ = await database.claim(business)
    assert min(attempt.attempt_id for attempt in attempts) > first.attempt_id + 1_000_000


async def test_a_lead_of_a_paused_run_has_its_call_and_one_of_a_cancelled_run_has_not(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    paused, cancelled = await database.run(business, [MINE]), await database.run(business, [THEIRS, FOREIGN])
    await database.command(business, CommandType.PAUSE, paused)
    await database.command(business, CommandType.CANCEL, cancelled)
    await elsewhere(database)
    assert await calls.adopt(business, [MINE, THEIRS]) == 1
    assert (await database.checked_run(business, paused)).in_progress == 1
    assert (await database.checked_run(business, cancelled)).cancelled == 2


async def test_only_the_owner_may_say_so_and_only_of_the_present_history(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    await database.run(business, 1)
    await elsewhere(database)
    before = await calls.timeline(business)
    await elsewhere(database)
    assert await calls.adopt(business, timeline=before) is None
    database.incarnation, mine = uuid4(), database.incarnation
    assert await calls.adopt(business) is None
    database.incarnation = mine
    assert (await database.claim(business))[1][business].code == VerdictCode.UNLISTED


async def test_a_history_begins_once_and_numbers_go_on_above_the_forgotten_ones(database: DatabaseFixture, calls: Calls) -> None:
    business = await database.business()
    await database.run(business, 5)
    [first, *_], _ = await database.claim(business)
    first_event = await database.pool.fetchval("SELECT max(id) FROM dialer.outbox")
    assert await calls.timelines.present(business, SHOWN_AFTER_SECONDS) is None
    await elsewhere(database)
    await database.pool.execute(NOTICE_TIMELINE)
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.timelines") == 2
    assert 0 < (await calls.timeline(business)).wait_seconds <= SHOWN_AFTER_SECONDS
    newcomer = await database.business()
    run = await database.run(newcomer, 1)
    [attempt], _ = await database.claim(newcomer)
    assert attempt.attempt_id > first.attempt_id + 1_000_000
    await database.record(attempt, AttemptState.OVER, outcome="busy")
    assert await database.pool.fetchval("SELECT min(id) FROM dialer.outbox WHERE run_id = $1", run) > first_event + 1_000_000
