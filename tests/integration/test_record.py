"""Learn: every fact moves the attempt, its slot, its job and the counters together, and none moves them twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dialer.messages import CommandType
from dialer.model import AttemptState
from sql.attempts.attempts import Fact
from sql.attempts.fact_writer import FactWriter, NotRecordedError
from sql.attempts.verdicts import RecordVerdict, VerdictCode
from telephony import refusals

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

PLACED, RINGING, LIVE, OVER = AttemptState.PLACED, AttemptState.RINGING, AttemptState.LIVE, AttemptState.OVER
UNKNOWN, NOT_SENT, NOT_PLACED = AttemptState.UNKNOWN, AttemptState.NOT_SENT, AttemptState.NOT_PLACED


async def test_a_call_from_placing_to_over(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    for state in (PLACED, RINGING, LIVE):
        assert (await database.record(attempt, state, sid="CA1")).verdict == RecordVerdict.APPLIED
        assert (await database.checked_run(business, run)).in_progress == 1
    result = await database.record(attempt, OVER, sid="CA1", outcome="completed", answered_by="machine_start", duration=7)
    assert (result.verdict, result.run_ended) == (RecordVerdict.APPLIED, True)
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.completed, seen.ended_at is not None) == ("completed", 1, True)
    job = await database.pool.fetchrow("SELECT outcome, twilio_call_sid, attempts FROM outbound_call_jobs WHERE run_id = $1", run)
    assert tuple(job or ()) == ("machine", "CA1", 1)
    assert await database.inflight(business) == []


@pytest.mark.parametrize(
    ("outcome", "counted"), [("busy", "failed"), ("no-answer", "failed"), ("failed", "failed"), ("canceled", "cancelled")]
)
async def test_where_an_outcome_is_counted(database: DatabaseFixture, outcome: str, counted: str) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, OVER, sid="CA1", outcome=outcome)
    seen = await database.checked_run(business, run)
    assert (getattr(seen, counted), seen.status) == (1, "completed")


async def test_a_plan_from_before_the_first_call_reads_the_run_of_a_call_and_not_all_of_its_business(database: DatabaseFixture) -> None:
    business = await database.business()
    async with database.pool.acquire() as connection:
        await connection.execute("SELECT dialer.record_v1('[]')")
        for _ in range(40):
            await database.command(business, CommandType.CANCEL, await database.run(business, 1))
        run = await database.run(business, 1)
        [attempt], _ = await database.claim(business)
        fact = {"business_id": business, "attempt_id": attempt.attempt_id, "nonce": attempt.nonce, "state": OVER, "outcome": "busy"}
        async with connection.transaction():
            assert await connection.fetchval("SELECT verdict FROM dialer.record_v1($1)", [fact]) == RecordVerdict.APPLIED
            assert await connection.fetchval("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'outbound_call_runs'") < 10
    assert (await database.checked_run(business, run)).failed == 1


async def test_every_fact_twice_and_in_any_order_changes_nothing_more(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 2)
    attempts, _ = await database.claim(business)
    await database.record(attempts[0], OVER, sid="CA1", outcome="busy")
    for state in (PLACED, RINGING, LIVE, UNKNOWN, OVER):
        assert (
            await database.record(attempts[0], state, sid="CA1", outcome="completed" if state is OVER else None)
        ).verdict == RecordVerdict.KNOWN
    assert (await database.record(attempts[0], NOT_SENT)).verdict == RecordVerdict.REFUSED
    seen = await database.checked_run(business, run)
    assert (seen.failed, seen.in_progress) == (1, 1)
    await database.record(attempts[1], LIVE, sid="CA2")
    assert (await database.record(attempts[1], PLACED, sid="CA2")).state is LIVE


async def test_a_callback_before_the_posts_own_answer(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, RINGING, sid="CA1", token=None)
    assert (await database.record(attempt, PLACED, sid="CA1")).verdict == RecordVerdict.KNOWN
    assert (await database.checked_run(business, run)).in_progress == 1


async def test_not_sent_goes_to_the_front_and_is_no_dial(database: DatabaseFixture) -> None:
    business = await database.business(max_calls=1)
    run = await database.run(business, 3)
    [attempt] = (await database.claim(business))[0]
    assert (await database.record(attempt, NOT_SENT, token=str(uuid4()))).verdict == RecordVerdict.REFUSED
    assert (await database.record(attempt, NOT_SENT)).verdict == RecordVerdict.APPLIED
    assert (await database.record(attempt, NOT_SENT)).verdict != RecordVerdict.APPLIED
    seen = await database.checked_run(business, run)
    assert (seen.queued, seen.in_progress, seen.cursor_position) == (3, 0, 1)
    [again] = (await database.claim(business))[0]
    assert (again.job_id, again.attempt_id != attempt.attempt_id) == (attempt.job_id, True)
    assert await database.pool.fetchval("SELECT attempts FROM outbound_call_jobs WHERE id = $1", again.job_id) == 1


async def test_unknown_keeps_its_slot_until_the_truth_is_found(database: DatabaseFixture) -> None:
    business = await database.business(max_calls=1)
    run = await database.run(business, 2)
    [attempt] = (await database.claim(business))[0]
    assert (await database.record(attempt, UNKNOWN)).verdict == RecordVerdict.APPLIED
    assert (await database.claim(business))[1][business].code == VerdictCode.FULL
    assert (await database.record(attempt, NOT_SENT)).verdict == RecordVerdict.REFUSED
    assert (await database.checked_run(business, run)).in_progress == 1
    await database.record(attempt, PLACED, sid="CA1")
    assert (await database.record(attempt, OVER, outcome="completed")).verdict == RecordVerdict.APPLIED


async def test_unknown_by_another_worker_only_after_its_time(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    assert (await database.record(attempt, UNKNOWN, token=None)).verdict == RecordVerdict.KNOWN
    await database.pool.execute("UPDATE dialer.attempts SET send_by = now() - interval '3 seconds'")
    assert (await database.record(attempt, UNKNOWN, token=None)).verdict == RecordVerdict.APPLIED


async def absent(database: DatabaseFixture, business: int) -> tuple[dict[str, object], int]:
    partition = await database.partition(business)
    return {"owner": str(database.incarnation), "epoch": database.epochs[partition], "lag_seconds": 60.0, "token": None}, partition


async def test_not_placed_needs_the_fence_and_the_lag(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    proof, _ = await absent(database, business)
    await database.record(attempt, UNKNOWN)
    assert (await database.record(attempt, NOT_PLACED, **proof)).verdict == RecordVerdict.REFUSED
    await database.pool.execute("UPDATE dialer.attempts SET send_by = now() - interval '61 seconds'")
    assert (await database.record(attempt, NOT_PLACED, **{**proof, "epoch": 0})).verdict == RecordVerdict.REFUSED
    assert (await database.record(attempt, NOT_PLACED, **{**proof, "owner": str(uuid4())})).verdict == RecordVerdict.REFUSED
    assert (await database.record(attempt, NOT_PLACED, **proof)).verdict == RecordVerdict.APPLIED
    assert (await database.checked_run(business, run)).queued == 1
    assert await database.inflight(business) == []


async def not_placed(database: DatabaseFixture, business: int) -> None:
    await database.pool.execute("UPDATE dialer.attempts SET send_by = now() - interval '61 seconds' WHERE business_id = $1", business)


async def test_late_proof_takes_back_the_next_try(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, UNKNOWN)
    await not_placed(database, business)
    await database.record(attempt, NOT_PLACED, **(await absent(database, business))[0])
    result = await database.record(attempt, LIVE, sid="CA1", token=None)
    assert (result.verdict, result.hang_up) == (RecordVerdict.APPLIED, False)
    assert (await database.checked_run(business, run)).in_progress == 1
    assert await database.inflight(business) == [attempt.attempt_id]
    assert (await database.claim(business))[0] == []
    await database.record(attempt, OVER, sid="CA1", outcome="completed")
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.completed) == ("completed", 1)


async def test_late_proof_without_room_is_excess_and_hung_up(database: DatabaseFixture) -> None:
    business = await database.business(max_calls=1)
    run = await database.run(business, 2)
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, UNKNOWN)
    await not_placed(database, business)
    await database.record(attempt, NOT_PLACED, **(await absent(database, business))[0])
    # The lead waits at the front; another one takes the only slot.
    await database.pool.execute("UPDATE dialer.retries SET due_at = now() + interval '1 hour'")
    [other] = (await database.claim(business))[0]
    result = await database.record(attempt, LIVE, sid="CA1", token=None)
    assert (result.verdict, result.hang_up, result.sid) == (RecordVerdict.APPLIED, True, "CA1")
    assert await database.inflight(business) == [other.attempt_id]
    assert (await database.checked_run(business, run)).in_progress == 2
    await database.record(attempt, OVER, sid="CA1", outcome="completed")
    await database.record(other, OVER, sid="CA2", outcome="busy")
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.completed, seen.failed) == ("completed", 1, 1)


async def test_late_proof_when_the_lead_is_on_the_line_again(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, UNKNOWN)
    await not_placed(database, business)
    await database.record(attempt, NOT_PLACED, **(await absent(database, business))[0])
    [again] = (await database.claim(business))[0]
    result = await database.record(attempt, LIVE, sid="CA1", token=None)
    assert (result.hang_up, await database.inflight(business)) == (True, [again.attempt_id])
    await database.record(attempt, OVER, sid="CA1", outcome="completed")
    assert (await database.checked_run(business, run)).in_progress == 1
    await database.record(again, OVER, sid="CA2", outcome="no-answer")
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.failed, seen.completed) == ("completed", 1, 0)


async def test_a_second_sid_is_excess(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, RINGING, sid="CA1", token=None)
    second = await database.record(attempt, PLACED, sid="CA2")
    assert (second.verdict, second.hang_up, second.sid) == (RecordVerdict.SECOND, True, "CA2")
    assert (await database.checked_run(business, run)).in_progress == 1
    assert await database.pool.fetchval("SELECT excess FROM dialer.call_sids WHERE sid = 'CA2'")


async def test_a_known_fact_adds_what_answered(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 1)
    [attempt], _ = await database.claim(business)
    await database.record(attempt, LIVE, sid="CA1")
    assert (await database.record(attempt, LIVE, sid="CA1", answered_by="human")).verdict == RecordVerdict.KNOWN
    assert await database.pool.fetchval("SELECT answered_by FROM dialer.attempts WHERE id = $1", attempt.attempt_id) == "human"


async def test_the_end_of_a_second_call_ends_no_call_that_is_new_in_the_same_batch(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 2)
    [placed, other], _ = await database.claim(business)
    await database.record(other, PLACED, sid="CA2")
    new = Fact(business, placed.attempt_id, placed.nonce, PLACED, sid="CA1")
    second = Fact(business, other.attempt_id, other.nonce, OVER, sid="CA1", outcome="completed")
    verdicts = {result.attempt_id: result.verdict for result in await database.attempts.record([new, second])}
    assert verdicts == {placed.attempt_id: RecordVerdict.APPLIED, other.attempt_id: RecordVerdict.SECOND}
    row = await database.pool.fetchrow("SELECT attempt_id, over_at FROM dialer.call_sids WHERE sid = 'CA1'")
    assert tuple(row or ()) == (placed.attempt_id, None)


async def test_a_sid_of_another_attempt_is_refused(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 2)
    one, other = (await database.claim(business))[0]
    await database.record(one, PLACED, sid="CA1")
    assert (await database.record(other, PLACED, sid="CA1", token=None)).verdict == RecordVerdict.REFUSED
    await database.record(other, PLACED, sid="CA2")
    confused = await database.record(other, RINGING, sid="CA1", token=None)
    assert (confused.verdict, confused.hang_up) == (RecordVerdict.REFUSED, False)


async def test_a_response_with_the_call_of_another_attempt_proves_nothing(database: DatabaseFixture) -> None:
    """It is unclear which call the POST has made: no list shows that there is none, and only a callback or a person decides."""
    business = await database.business()
    run = await database.run(business, 2)
    one, other = (await database.claim(business))[0]
    await database.record(one, PLACED, sid="CA1")
    answer = await database.record(other, PLACED, sid="CA1")
    assert (answer.verdict, answer.state, answer.sid) == (RecordVerdict.APPLIED, UNKNOWN, None)
    await not_placed(database, business)
    assert (await database.record(other, NOT_PLACED, **(await absent(database, business))[0])).verdict == RecordVerdict.REFUSED
    assert (await database.record(other, LIVE, sid="CA2", token=None)).verdict == RecordVerdict.APPLIED
    assert (await database.checked_run(business, run)).in_progress == 2


async def test_another_nonce_or_business_is_not_believed(database: DatabaseFixture) -> None:
    business, other = await database.business(), await database.business()
    await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    wrong = [
        Fact(business, attempt.attempt_id, "0" * 32, LIVE, sid="CA1"),
        Fact(other, attempt.attempt_id, attempt.nonce, LIVE, sid="CA1"),
        Fact(business, attempt.attempt_id + 99, attempt.nonce, LIVE, sid="CA1"),
    ]
    for fact in wrong:
        [result] = await database.attempts.record([fact])
        assert result.verdict == RecordVerdict.STRANGER


async def test_after_cancel_what_was_not_sent_is_cancelled(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 10)
    attempts, _ = await database.claim(business)
    answer = await database.command(business, CommandType.CANCEL, run)
    assert (answer.in_progress, answer.status, answer.cancel_requested) == (3, "running", True)
    await database.record(attempts[0], NOT_SENT)
    await database.record(attempts[1], OVER, sid="CA1", outcome="completed")
    assert (await database.checked_run(business, run)).status == "running"
    result = await database.record(attempts[2], OVER, sid="CA2", outcome="busy")
    seen = await database.checked_run(business, run)
    assert (result.run_ended, seen.status, seen.cancelled, seen.completed, seen.failed) == (True, "cancelled", 8, 1, 1)


async def test_after_stop_calls_are_still_recorded_and_the_run_drains(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 10)
    attempts, _ = await database.claim(business)
    answer = await database.command(business, CommandType.STOP, run)
    assert (answer.status, answer.in_progress, answer.cancelled_jobs) == ("stopped", 3, 7)
    for n, attempt in enumerate(attempts):
        await database.record(attempt, OVER, sid=f"CA{n}", outcome="completed")
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.completed, seen.cancelled, seen.in_progress) == ("stopped", 3, 7, 0)
    kinds = [row["type"] for row in await database.pool.fetch("SELECT type FROM dialer.outbox WHERE run_id = $1 ORDER BY id", run)]
    assert (kinds.count("run.finished"), kinds.count("run.drained"), kinds[-1]) == (1, 1, "run.drained")


async def test_hang_up_is_remembered_until_the_sid_is_known(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    await database.command(business, CommandType.CANCEL, run, hang_up=True)
    result = await database.record(attempt, PLACED, sid="CA1")
    assert (result.hang_up, result.sid) == (True, "CA1")
    assert not (await database.record(attempt, OVER, sid="CA1", outcome="canceled")).hang_up
    assert (await database.checked_run(business, run)).cancelled == 1


@pytest.mark.parametrize("rule", refusals.CODES, ids=lambda rule: str(rule.code))
async def test_a_call_that_fails_for_the_accounts_fault_burns_no_lead(database: DatabaseFixture, rule: refusals.Rule) -> None:
    """By the table: the lead fails, or waits; what meets every lead pauses the run with the code."""
    business = await database.business()
    run = await database.run(business, 3)
    [attempt], _ = await database.claim(business, permits=1)
    await database.record(attempt, PLACED, sid="CA1")
    await database.record(attempt, OVER, sid="CA1", outcome="failed", error_code=rule.code)
    found = await database.checked_run(business, run)
    is_account = rule.action is refusals.Action.ACCOUNT
    assert (found.failed, found.queued) == ((1, 2) if rule.action is refusals.Action.LEAD else (0, 3))
    assert (found.status, str(rule.code) in (found.last_error or "")) == ("paused" if is_account else "running", is_account)
    cause = {"kind": "account_refused", "code": rule.code}
    events = await database.pool.fetch("SELECT data FROM dialer.outbox WHERE run_id = $1 AND type = 'run.paused'", run)
    assert [event["data"] for event in events] == ([{"last_error": found.last_error, "last_error_cause": cause}] if is_account else [])
    assert found.last_error_cause == (cause if is_account else None)


async def test_a_hundred_settles_at_once_add_up(database: DatabaseFixture) -> None:
    businesses = [await database.business() for _ in range(10)]
    runs = {business: await database.run(business, 10) for business in businesses}
    async with FactWriter(database.attempts, patience_seconds=10) as writer:
        while attempts := (await database.claim(*businesses))[0]:
            facts = [Fact(i.business_id, i.attempt_id, i.nonce, OVER, sid=f"CA{i.attempt_id}", outcome="completed") for i in attempts]
            # Each is brought twice, as callbacks are.
            result = await asyncio.gather(*(writer.record(fact) for fact in facts + facts))
            assert [answer.verdict for answer in result].count(RecordVerdict.APPLIED) == len(facts)
    for business, run in runs.items():
        seen = await database.checked_run(business, run)
        assert (seen.status, seen.completed) == ("completed", 10)


async def test_a_fact_waits_for_a_locked_lane_and_the_others_do_not(database: DatabaseFixture) -> None:
    one, other = await database.business(), await database.business()
    for business in (one, other):
        await database.run(business, 1)
    attempts = {attempt.business_id: attempt for attempt in (await database.claim(one, other))[0]}
    async with FactWriter(database.attempts, patience_seconds=10) as writer, database.pool.acquire() as foreign:
        transaction = foreign.transaction()
        await transaction.start()
        await foreign.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE", one)
        waiting = asyncio.ensure_future(writer.record(Fact(one, attempts[one].attempt_id, attempts[one].nonce, LIVE, sid="CA1")))
        async with asyncio.timeout(20):
            assert (
                await writer.record(Fact(other, attempts[other].attempt_id, attempts[other].nonce, LIVE, sid="CA2"))
            ).verdict == RecordVerdict.APPLIED
        assert not waiting.done()
        await transaction.rollback()
        assert (await waiting).verdict == RecordVerdict.APPLIED


async def test_only_a_fact_that_moves_the_run_waits_for_it(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 3)
    rings, ends, second = (await database.claim(business))[0]
    await database.record(second, LIVE, sid="CA3")
    async with database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM outbound_call_runs WHERE id = $1 FOR UPDATE", run)
        async with asyncio.timeout(20):
            assert (await database.record(rings, LIVE, sid="CA1")).verdict == RecordVerdict.APPLIED
            assert (await database.record(ends, OVER, sid="CA2", outcome="busy")).verdict == RecordVerdict.BUSY
            assert (await database.record(second, LIVE, sid="CA4")).verdict == RecordVerdict.BUSY
    assert (await database.record(ends, OVER, sid="CA2", outcome="busy")).verdict == RecordVerdict.APPLIED
    assert (await database.record(second, LIVE, sid="CA4")).verdict == RecordVerdict.SECOND
    seen = await database.checked_run(business, run)
    assert (seen.in_progress, seen.failed) == (2, 1)


async def test_a_fact_writer_gives_up_after_a_while(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    async with FactWriter(database.attempts, patience_seconds=0.2) as writer, database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE", business)
        with pytest.raises(NotRecordedError):
            await writer.record(Fact(business, attempt.attempt_id, attempt.nonce, LIVE, sid="CA1"))
