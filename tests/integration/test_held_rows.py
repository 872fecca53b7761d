"""A foreign transaction holds a row lock: only the lead or the business of that row is delayed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from dialer.model import AttemptState
from sql.attempts.attempts import Fact
from sql.attempts.fact_writer import FactWriter, NotRecordedError
from sql.attempts.verdicts import RecordVerdict, VerdictCode
from sql.pool import PLANNED, open_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.attempts.attempts import ClaimedAttempt
    from tests.rows import DatabaseFixture

OTHERS = 10
# Each statement that waited for a row would take this long, and there are several.
LOCK_TIMEOUT_SECONDS = 2.0
ROWS = {
    "lane": "SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE",
    "business": "SELECT FROM dialer.businesses WHERE business_id = $1 FOR UPDATE",
    "run": "SELECT FROM outbound_call_runs WHERE business_id = $1 FOR UPDATE",
    "zone": "SELECT FROM dialer.run_zones WHERE business_id = $1 FOR UPDATE",
    "job": "SELECT FROM outbound_call_jobs WHERE business_id = $1 ORDER BY position LIMIT 1 FOR UPDATE",
    "all jobs": "SELECT FROM outbound_call_jobs WHERE business_id = $1 FOR UPDATE",
    "attempt": "SELECT FROM dialer.attempts WHERE business_id = $1 FOR UPDATE",
    "retry": "SELECT FROM dialer.retries WHERE business_id = $1 FOR UPDATE",
    "callback": "SELECT FROM dialer.callbacks WHERE business_id = $1 FOR UPDATE",
    "sid": "SELECT FROM dialer.call_sids WHERE business_id = $1 FOR UPDATE",
    "event": "SELECT FROM dialer.outbox WHERE business_id = $1 FOR UPDATE",
    "refusal": "SELECT FROM dialer.refusals WHERE business_id = $1 FOR UPDATE",
}


@asynccontextmanager
async def held(database: DatabaseFixture, row: str, business_id: int) -> AsyncIterator[None]:
    async with database.pool.acquire() as foreign:
        transaction = foreign.transaction()
        await transaction.start()
        await foreign.execute(ROWS[row], business_id)
        try:
            yield
        finally:
            await transaction.rollback()


async def loaded(database: DatabaseFixture, leads: int = 4) -> int:
    """A business with a running run, one call on the line with a callback, and a lead that waits for another turn."""
    business = await database.business()
    await database.run(business, leads)
    first, second = (await database.claim(business, permits=2))[0]
    await database.attempts.record(
        [Fact(business, first.attempt_id, first.nonce, AttemptState.RINGING, sid=f"CA{business}", callback={"CallStatus": "ringing"})]
    )
    await database.record(second, AttemptState.NOT_SENT)
    return business


@pytest.mark.parametrize("row", ROWS)
async def test_a_batch_goes_on_around_a_held_row(database: DatabaseFixture, row: str) -> None:
    victim, others = await loaded(database), [await loaded(database) for _ in range(OTHERS)]
    async with held(database, row, victim), asyncio.timeout(LOCK_TIMEOUT_SECONDS):
        attempts, verdicts = await database.claim(victim, *others, permits=1)
        assert {attempt.business_id for attempt in attempts} >= set(others)
        assert verdicts[victim].code in {VerdictCode.BUSY, VerdictCode.AGAIN, VerdictCode.GATE}
        facts = [over(attempt) for attempt in attempts]
        recorded = {answer.business_id: answer.verdict for answer in await database.attempts.record(facts)}
        assert {recorded[business] for business in others} == {RecordVerdict.APPLIED}


def over(attempt: ClaimedAttempt) -> Fact:
    return Fact(
        attempt.business_id, attempt.attempt_id, attempt.nonce, AttemptState.OVER, sid=f"CA-{attempt.attempt_id}", outcome="busy",
        callback={"CallStatus": "busy", "CallSid": f"CA-{attempt.attempt_id}"},
    )  # fmt: skip


async def test_a_refusal_whose_row_is_held_delays_nobody(database: DatabaseFixture) -> None:
    victim, others = await database.business(), [await loaded(database) for _ in range(OTHERS)]
    run = await database.run(victim, 2)
    listed = "INSERT INTO dialer.do_not_call (business_id, phone) SELECT business_id, phone FROM outbound_call_jobs WHERE run_id = $1"
    await database.pool.execute(listed, run)
    known = """INSERT INTO dialer.refusals (business_id, run_id, job_id, rule, verdict)
        SELECT business_id, run_id, id, 'do_not_call', 'wait' FROM outbound_call_jobs WHERE run_id = $1 ORDER BY position LIMIT 1"""
    await database.pool.execute(known, run)
    async with held(database, "refusal", victim), asyncio.timeout(LOCK_TIMEOUT_SECONDS):
        attempts, _ = await database.claim(victim, *others, permits=1)
        assert {attempt.business_id for attempt in attempts} == set(others)
        assert (await database.checked_run(victim, run)).skipped == 2
    verdicts = await database.pool.fetch("SELECT verdict FROM dialer.refusals WHERE run_id = $1 ORDER BY job_id", run)
    assert [row["verdict"] for row in verdicts] == ["wait", "skip"]


@pytest.mark.parametrize("row", ["attempt", "job", "all jobs", "lane", "run"])
async def test_a_fact_whose_row_is_held_comes_again(database: DatabaseFixture, row: str) -> None:
    victim = await database.business()
    run = await database.run(victim, 1)
    [attempt] = (await database.claim(victim))[0]
    async with FactWriter(database.attempts, patience_seconds=60) as writer:
        async with held(database, row, victim):
            waiting = asyncio.ensure_future(writer.record(over(attempt)))
            [answer] = await database.attempts.record([over(attempt)])
            assert answer.verdict == RecordVerdict.BUSY
        assert (await waiting).verdict == RecordVerdict.APPLIED
    assert (await database.checked_run(victim, run)).failed == 1


async def test_a_lead_whose_job_is_held_is_put_off_and_called_later(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 3)
    async with held(database, "job", business):
        attempts, verdicts = await database.claim(business, permits=3)
        assert (len(attempts), verdicts[business].code) == (2, VerdictCode.AGAIN)
        assert (await database.claim(business, permits=3))[1][business].code == VerdictCode.PUT_OFF
    await database.pool.execute("UPDATE dialer.retries SET due_at = now()")
    [last], _ = await database.claim(business, permits=3)
    assert last.job_id not in {attempt.job_id for attempt in attempts}
    assert (await database.checked_run(business, run)).in_progress == 3


async def test_a_time_zone_that_is_held_is_not_passed(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 4, zones=["Asia/Tokyo", "UTC"])
    async with database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM dialer.run_zones WHERE run_id = $1 AND zone = 'UTC' FOR UPDATE", run)
        attempts, verdicts = await database.claim(business, permits=3)
        assert (len(attempts), verdicts[business].code) == (2, VerdictCode.BUSY)
    assert len((await database.claim(business, permits=3))[0]) == 1
    assert (await database.checked_run(business, run)).cursor_position == 3


async def test_many_facts_behind_a_held_row_do_not_delay_another_business(database: DatabaseFixture) -> None:
    victim, other = await database.business(max_calls=60), await database.business()
    await database.run(victim, 60, concurrency=60)
    await database.run(other, 3)
    stuck, free = (await database.claim(victim, permits=60))[0], (await database.claim(other))[0]
    async with FactWriter(database.attempts, patience_seconds=60) as writer, asyncio.TaskGroup() as facts, held(database, "lane", victim):
        waiting = [facts.create_task(writer.record(over(attempt))) for attempt in stuck]
        async with asyncio.timeout(LOCK_TIMEOUT_SECONDS):
            for attempt in free:
                assert (await writer.record(over(attempt))).verdict == RecordVerdict.APPLIED
        assert not any(task.done() for task in waiting)
    assert {task.result().verdict for task in waiting} == {RecordVerdict.APPLIED}


async def test_a_fact_postgresql_will_never_take_is_given_up_alone(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 3)
    attempts, _ = await database.claim(business)
    async with FactWriter(database.attempts, patience_seconds=60) as writer, asyncio.TaskGroup() as facts:
        good = [facts.create_task(writer.record(over(attempt))) for attempt in attempts[1:]]
        bad = Fact(business, attempts[0].attempt_id, attempts[0].nonce, AttemptState.OVER, outcome="busy", callback={"text": "\x00"})
        with pytest.raises(Exception, match="unsupported Unicode escape sequence"):
            await writer.record(bad)
    assert {task.result().verdict for task in good} == {RecordVerdict.APPLIED}


async def test_a_business_has_a_budget_of_waiting_facts(database: DatabaseFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sql.attempts.fact_writer.MAX_WAITING_FACTS", 2)
    business, other = await database.business(max_calls=10), await database.business()
    for one in (business, other):
        await database.run(one, 10, concurrency=10)
    stuck, [free, *_] = (await database.claim(business, permits=10))[0], (await database.claim(other))[0]
    async with FactWriter(database.attempts, patience_seconds=60) as writer:
        async with held(database, "lane", business):
            recording = asyncio.gather(*(writer.record(over(attempt)) for attempt in stuck), return_exceptions=True)
            assert (await writer.record(over(free))).verdict == RecordVerdict.APPLIED
        answers = await recording
    assert sum(isinstance(answer, NotRecordedError) for answer in answers) == len(stuck) - 2
    assert [answer.verdict for answer in answers if not isinstance(answer, BaseException)] == [RecordVerdict.APPLIED, RecordVerdict.APPLIED]


async def second_call(database: DatabaseFixture, business: int, leads: int = 3) -> Fact:
    """An attempt with a second call, and the fact that this one is over."""
    await database.run(business, leads)
    [attempt, *_] = (await database.claim(business))[0]
    for sid in ("CA-first", "CA-second"):
        await database.record(attempt, AttemptState.PLACED, sid=f"{sid}{business}")
    return Fact(business, attempt.attempt_id, attempt.nonce, AttemptState.OVER, sid=f"CA-second{business}", outcome="canceled")


async def test_the_row_of_a_second_call_that_is_held_delays_no_fact(database: DatabaseFixture) -> None:
    victim = await database.business()
    fact = await second_call(database, victim)
    async with held(database, "sid", victim), asyncio.timeout(LOCK_TIMEOUT_SECONDS):
        [answer] = await database.attempts.record([fact])
        assert answer.verdict == RecordVerdict.SECOND
    assert [call.sid for call in await database.attempts.excess_calls([await database.partition(victim)])] == [fact.sid]
    await database.attempts.record([fact])
    assert await database.attempts.excess_calls([await database.partition(victim)]) == []


async def test_a_statement_that_meets_a_lock_is_halved_and_the_others_are_written(database: DatabaseFixture) -> None:
    """A key that a foreign transaction is inserting cannot be skipped: its own fact waits for it, and no other does."""
    victim, other = await database.business(), await database.business()
    for business in (victim, other):
        await database.run(business, 3)
    [stuck, *_], free = (await database.claim(victim))[0], (await database.claim(other))[0]
    async with FactWriter(database.attempts, patience_seconds=60) as writer, database.pool.acquire() as foreign:
        transaction = foreign.transaction()
        await transaction.start()
        await foreign.execute(
            "INSERT INTO dialer.call_sids (sid, business_id, attempt_id) VALUES ($1, $2, 0)", f"CA-{stuck.attempt_id}", victim
        )
        waiting = asyncio.ensure_future(writer.record(over(stuck)))
        async with asyncio.timeout(2 * LOCK_TIMEOUT_SECONDS):
            for attempt in free:
                assert (await writer.record(over(attempt))).verdict == RecordVerdict.APPLIED
        assert not waiting.done()
        await transaction.rollback()
        assert (await waiting).verdict == RecordVerdict.APPLIED


async def test_whatever_proves_a_call_ends_that_the_provider_does_not_know_it(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 3)
    for n, attempt in enumerate((await database.claim(business))[0]):
        await database.record(attempt, AttemptState.LIVE if n else AttemptState.RINGING, sid=f"CA{n}")
        [row] = await database.attempts.states([(business, attempt.attempt_id)])
        await database.attempts.postpone_check(row, 15.0, {"missing": 1.0})
        # One moves the call on, the other says again what is known.
        await database.record(attempt, AttemptState.LIVE, sid=f"CA{n}", callback={"CallStatus": "in-progress"})
        assert (await database.record(attempt, AttemptState.NOT_PLACED, by_person=True)).verdict == RecordVerdict.REFUSED


async def test_a_locked_table_keeps_no_connection_from_being_opened(
    database: DatabaseFixture, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other tests do without, to be quick.
    monkeypatch.setattr("sql.pool.PLANNED", PLANNED)
    async with database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("LOCK TABLE outbound_call_runs IN ACCESS EXCLUSIVE MODE")
        async with await open_pool(database_url, name="late", size=1, planned=True) as pool:
            assert await pool.fetchval("SELECT count(*) FROM dialer.partitions")
