"""Claim: what is taken, what is refused, and why it says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from dialer.messages import CommandType
from dialer.model import AttemptState
from sql.attempts.attempts import ClaimRequest
from sql.attempts.verdicts import RecordVerdict, VerdictCode
from tests.rows import ACCOUNT_SID

if TYPE_CHECKING:
    from uuid import UUID

    from tests.rows import DatabaseFixture

CLAIM = """SELECT attempt_id, nonce
FROM dialer.claim_v1($1, gen_random_uuid(), ARRAY[$2::integer], ARRAY[$3::bigint], '{3}', 5, 30, 10, 'AC')"""


async def test_three_and_no_fourth(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 10)
    attempts, verdicts = await database.claim(business, permits=10)
    assert len(attempts) == 3
    assert verdicts[business].code == VerdictCode.FULL
    assert (await database.claim(business))[0] == []
    seen = await database.checked_run(business, run)
    assert (seen.queued, seen.in_progress, seen.cursor_position) == (7, 3, 3)
    assert len({attempt.phone for attempt in attempts}) == 3
    assert sorted(await database.inflight(business)) == sorted(attempt.attempt_id for attempt in attempts)


async def test_the_database_refuses_one_too_many(database: DatabaseFixture) -> None:
    business = await database.business()
    with pytest.raises(asyncpg.CheckViolationError, match="lane_holds_at_most_cap"):
        await database.pool.execute("UPDATE dialer.lanes SET inflight = '{1,2,3,4}' WHERE business_id = $1", business)


async def test_permits_bound_a_claim(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 10)
    attempts, verdicts = await database.claim(business, permits=2)
    assert len(attempts) == 2
    assert verdicts[business].code == VerdictCode.GATE


async def test_two_runs_share_three_slots_evenly(database: DatabaseFixture) -> None:
    business = await database.business()
    runs = [await database.run(business, 20), await database.run(business, 20)]
    taken: list[int] = []
    for _ in range(10):
        attempts, _ = await database.claim(business)
        taken += [attempt.run_id for attempt in attempts]
        for attempt in attempts:
            await database.record(attempt, AttemptState.OVER, outcome="busy")
    assert abs(taken.count(runs[0]) - taken.count(runs[1])) <= 1
    assert len(taken) == 30


async def test_a_run_of_its_own_limit_leaves_slots_to_the_other(database: DatabaseFixture) -> None:
    business = await database.business()
    small = await database.run(business, 5, concurrency=1)
    large = await database.run(business, 5)
    attempts, _ = await database.claim(business)
    assert sorted(attempt.run_id for attempt in attempts) == [small, large, large]


async def test_many_businesses_in_one_claim_each_get_a_verdict(database: DatabaseFixture) -> None:
    businesses = [await database.business() for _ in range(20)]
    for business in businesses[:10]:
        await database.run(business, 5)
    attempts, verdicts = await database.claim(*businesses)
    assert len(attempts) == 30
    assert {verdicts[business].code for business in businesses[:10]} == {VerdictCode.FULL}
    assert {verdicts[business].code for business in businesses[10:]} == {VerdictCode.EMPTY}


async def test_the_fence_holds(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 5)
    partition = await database.partition(business)
    stale = ClaimRequest(business, database.epochs[partition] - 1, 3)
    attempts, verdicts = await database.attempts.claim(
        database.incarnation, uuid4(), [stale], send_seconds=5, ring_seconds=30, max_minutes=10, default_account=ACCOUNT_SID
    )
    assert (attempts, verdicts[0].code) == ([], VerdictCode.NOT_OWNER)
    mine = ClaimRequest(business, database.epochs[partition], 3)
    attempts, verdicts = await database.attempts.claim(
        uuid4(), uuid4(), [mine], send_seconds=5, ring_seconds=30, max_minutes=10, default_account=ACCOUNT_SID
    )
    assert (attempts, verdicts[0].code) == ([], VerdictCode.NOT_OWNER)


async def test_a_locked_neighbour_is_busy_and_delays_nobody(database: DatabaseFixture) -> None:
    locked, free, run_locked = [await database.business() for _ in range(3)]
    for business in (locked, free):
        await database.run(business, 5)
    run = await database.run(run_locked, 5)
    async with database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE", locked)
        await foreign.execute("SELECT FROM outbound_call_runs WHERE id = $1 FOR UPDATE", run)
        async with asyncio.timeout(10):
            attempts, verdicts = await database.claim(locked, free, run_locked)
    assert {attempt.business_id for attempt in attempts} == {free}
    assert (verdicts[locked].code, verdicts[run_locked].code) == (VerdictCode.BUSY, VerdictCode.BUSY)


async def test_one_number_is_on_the_line_once_over_all_runs(database: DatabaseFixture) -> None:
    business = await database.business()
    phone = "+12025550199"
    first = await database.run(business, [phone])
    second = await database.run(business, [phone, "+12025550198"])
    attempts, verdicts = await database.claim(business)
    assert sorted(attempt.phone for attempt in attempts) == ["+12025550198", phone]
    assert verdicts[business].code == VerdictCode.AGAIN
    assert (await database.claim(business))[1][business].code == VerdictCode.PUT_OFF
    for run in (first, second):
        await database.checked_run(business, run)
    await database.record(next(i for i in attempts if i.phone == phone), AttemptState.OVER, outcome="completed")
    await database.pool.execute("UPDATE dialer.retries SET due_at = now() WHERE business_id = $1", business)
    [again] = (await database.claim(business))[0]
    assert (again.phone, again.run_id) == (phone, second)


async def test_every_lead_of_every_zone_is_taken_once(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 25, zones=("Asia/Jerusalem", "America/New_York", "Europe/Paris"))
    dialled: list[str] = []
    while attempts := (await database.claim(business))[0]:
        dialled += [attempt.phone for attempt in attempts]
        for attempt in attempts:
            await database.record(attempt, AttemptState.OVER, outcome="no-answer")
    seen = await database.checked_run(business, run)
    assert (len(dialled), len(set(dialled)), seen.status, seen.failed, seen.cursor_position) == (25, 25, "completed", 25, 25)


async def test_paused_and_cancelled_runs_are_not_taken(database: DatabaseFixture) -> None:
    business = await database.business()
    paused, cancelled, pending = [await database.run(business, 5, start=start) for start in (True, True, False)]
    await database.command(business, CommandType.PAUSE, paused)
    await database.command(business, CommandType.CANCEL, cancelled)
    attempts, verdicts = await database.claim(business)
    assert (attempts, verdicts[business].code) == ([], VerdictCode.EMPTY)
    for run in (paused, cancelled, pending):
        await database.checked_run(business, run)


async def test_a_foreign_row_that_says_running_is_not_dialled(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 5, start=False)
    await database.pool.execute("UPDATE outbound_call_runs SET status = 'running' WHERE id = $1", run)
    assert (await database.claim(business))[1][business].code == VerdictCode.EMPTY


async def test_leads_cancelled_one_by_one_are_passed(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 6)
    jobs = await database.pool.fetch("SELECT id FROM outbound_call_jobs WHERE run_id = $1 ORDER BY position", run)
    for job in jobs[:4]:
        answer = await database.command(business, CommandType.CANCEL_JOB, run, job_id=job["id"])
        assert answer.job_status == "cancelled"
    attempts, _ = await database.claim(business)
    assert [attempt.job_id for attempt in attempts] == [job["id"] for job in jobs[4:]]
    for attempt in attempts:
        await database.record(attempt, AttemptState.OVER, outcome="completed")
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.cancelled, seen.completed) == ("completed", 4, 2)


async def test_a_long_stretch_of_cancelled_leads_is_passed_in_bounded_steps(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 2500)
    await database.pool.execute("UPDATE outbound_call_jobs SET status = 'cancelled' WHERE run_id = $1 AND position < 2500", run)
    await database.pool.execute("UPDATE outbound_call_runs SET queued_count = 1, cancelled_count = 2499 WHERE id = $1", run)
    codes = []
    for _ in range(4):
        attempts, verdicts = await database.claim(business)
        codes.append(verdicts[business].code)
        if attempts:
            break
    assert codes == [VerdictCode.AGAIN, VerdictCode.AGAIN, VerdictCode.EMPTY]
    assert (await database.checked_run(business, run)).cursor_position == 2500


async def test_lowering_max_calls_below_what_is_in_flight(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 10)
    attempts, _ = await database.claim(business)
    await database.businesses.set_max_calls(business, 1)
    for left, attempt in enumerate(attempts, start=1):
        assert (await database.claim(business))[1][business].code == VerdictCode.FULL
        assert (await database.record(attempt, AttemptState.OVER, outcome="busy")).verdict == RecordVerdict.APPLIED
        assert len(await database.inflight(business)) == 3 - left
    assert len((await database.claim(business))[0]) == 1


async def test_a_lead_whose_turn_comes_as_those_of_another_run_are_refused_is_checked_too(database: DatabaseFixture) -> None:
    business = await database.business()
    numbers = [f"+97250123456{n}" for n in range(7)]
    for phone in numbers[:4]:
        await database.pool.execute("INSERT INTO dialer.do_not_call VALUES ($1, $2)", business, phone)
    first = await database.run(business, numbers[:3])
    await database.pool.execute("UPDATE outbound_call_runs SET priority = 1 WHERE id = $1", first)
    await database.run(business, numbers[3:])
    attempts, verdicts = await database.claim(business)
    assert ([attempt.phone for attempt in attempts], verdicts[business].code) == (numbers[4:6], VerdictCode.AGAIN)
    assert await database.pool.fetchval("SELECT status FROM outbound_call_runs WHERE id = $1", first) == "completed"


async def test_a_lead_behind_the_permits_is_not_refused_before_those_in_front_of_it_are_taken(database: DatabaseFixture) -> None:
    business = await database.business(max_calls=4)
    numbers = [f"+97250123456{n}" for n in range(4)]
    for phone in (numbers[0], numbers[3]):
        await database.pool.execute("INSERT INTO dialer.do_not_call VALUES ($1, $2)", business, phone)
    await database.run(business, numbers, concurrency=4)
    called = []
    for _ in range(2):
        attempts, _ = await database.claim(business, permits=1)
        called += [attempt.phone for attempt in attempts]
    assert called == numbers[1:3]


async def test_the_ids_that_a_restored_backup_assigns_again_get_other_nonces(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 3)
    epoch = database.epochs[await database.partition(business)]
    claims: list[dict[int, UUID]] = []
    async with database.pool.acquire() as connection:
        for _ in range(2):
            restored = connection.transaction()
            await restored.start()
            rows = await connection.fetch(CLAIM, database.incarnation, business, epoch)
            claims.append({row["attempt_id"]: row["nonce"] for row in rows if row["attempt_id"]})
            await restored.rollback()
            await connection.execute("SELECT setval('dialer.attempts_id_seq', $1, FALSE)", min(claims[0]))
    first, second = claims
    assert first.keys() == second.keys()
    assert len({*first.values(), *second.values()}) == 6
