"""Cleanup in PostgreSQL: what is deleted, rewritten and kept, how fast, at what cost, and without blocking other sessions."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from dialer.messages import Command, CommandType
from dialer.model import AttemptState
from sql.errors import RowLockedError
from sql.statements import statements
from tests.chaos import polling

if TYPE_CHECKING:
    from sql.commands.commands import Answer
    from tests.rows import DatabaseFixture

CALLBACKS = """
INSERT INTO dialer.callbacks (business_id, attempt_id, received_at, fields, verdict, answer)
SELECT 1, n, now() - make_interval(days => $2), '{"CallStatus": "completed"}', 'applied', 204 FROM generate_series(1, $1::integer) n
"""
SLOW_JOBS = """
CREATE FUNCTION pg_temp_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON public.outbound_call_jobs FOR EACH ROW EXECUTE FUNCTION pg_temp_slow();
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
ATTEMPTS, RUNS = statements("attempts"), statements("runs")
BATCH = 2_000
PAGE_BYTES = 8_192
DECIDED_SECONDS = 10.0
MANY = 203  # more than are rewritten in the statement that cancels


async def wal_of(database: DatabaseFixture, limit: int) -> int:
    """How many bytes of write-ahead log forgetting takes; the least of three, since the server writes some by itself."""
    found = []
    for _ in range(3):
        before = await database.pool.fetchval("SELECT pg_current_wal_insert_lsn()")
        await database.commands.forget(limit)
        found.append(int(await database.pool.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)", before)))
    return min(found)


async def test_a_sweep_that_finds_nothing_writes_nothing(database: DatabaseFixture) -> None:
    await database.pool.execute(CALLBACKS, 5_000, 1)
    assert await wal_of(database, BATCH) < PAGE_BYTES
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.callbacks") == 5_000


async def test_old_callbacks_go_in_batches_and_young_ones_stay(database: DatabaseFixture) -> None:
    await database.pool.execute(CALLBACKS, 3 * BATCH + 10, 91)
    await database.pool.execute(CALLBACKS, 50, 89)
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    went = [await database.commands.forget(BATCH) for _ in range(4)]
    seconds = loop.time() - began_at
    assert went == [BATCH, BATCH, BATCH, 10]
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.callbacks") == 50
    # 5,000 a second is asked for; on a busy machine a tenth of it shows the kind of work it is.
    assert (3 * BATCH) / seconds > 500


async def test_a_callback_that_somebody_holds_stays_and_the_others_go(database: DatabaseFixture) -> None:
    await database.pool.execute(CALLBACKS, 20, 91)
    async with database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM dialer.callbacks ORDER BY id LIMIT 1 FOR UPDATE")
        async with asyncio.timeout(DECIDED_SECONDS):
            assert await database.commands.forget(BATCH) == 19


async def test_an_id_used_again_after_it_was_forgotten_comes_last(database: DatabaseFixture) -> None:
    """It is another command: what was sent before it is decided before it."""
    business = await database.business()
    run = await database.run(business, 3)
    again = Command(business, "again", CommandType.PAUSE, run, entry="1-0")
    await database.commands.receive("0-0", "1-0", [again])
    await database.commands.apply_received(business)
    await database.pool.execute("UPDATE dialer.inbox SET expires_at = now() - interval '1 second' WHERE id = 'again'")
    resume = Command(business, "between", CommandType.RESUME, run, entry="2-0")
    await database.commands.receive("1-0", "3-0", [resume, again])
    applied, _ = await database.commands.apply_received(business)
    assert [(one.hint.command, one.answer.accepted) for one in applied] == [(CommandType.RESUME, True), (CommandType.PAUSE, True)]


async def test_rewriting_and_the_cancel_of_one_lead_do_not_deadlock(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, MANY)
    await database.command(business, CommandType.CANCEL, run)
    first = await database.pool.fetchval("SELECT min(id) FROM outbound_call_jobs WHERE run_id = $1", run)
    await database.pool.execute(SLOW_JOBS)
    rewriting = asyncio.ensure_future(database.runs.rewrite(business, run, 1, 1000))

    async def it_holds_rows() -> bool:
        return bool(await database.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

    await polling.until(it_holds_rows, DECIDED_SECONDS, "rewriting")

    async def decided() -> Answer | None:
        # As the web process does: a try waits a moment for the row, and holds nothing until the next.
        with contextlib.suppress(RowLockedError):
            return await database.command(business, CommandType.CANCEL_JOB, run, job_id=first)
        return None

    answer = await polling.until(decided, DECIDED_SECONDS, "cancelled")
    assert answer
    await rewriting
    assert (answer.accepted, answer.job_status) == (True, "cancelled")
    await database.checked_run(business, run)


async def test_the_retries_of_a_run_that_goes_on_stay(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 3)
    job = await database.pool.fetchval("SELECT min(id) FROM outbound_call_jobs WHERE run_id = $1", run)
    await database.pool.execute(
        "INSERT INTO dialer.retries VALUES ($1, $2, $3, 'UTC', now() + interval '1 day', 'busy')", business, run, job
    )
    assert await database.runs.rewrite(business, run, 1, 1000) is None
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.retries WHERE run_id = $1", run) == 1


async def test_commands_of_many_waiting_businesses_are_found_one_a_business(database: DatabaseFixture) -> None:
    businesses = [await database.business() for _ in range(3)]
    runs = [await database.run(business, 3) for business in businesses]
    entries = [Command(businesses[0], f"c{n}", CommandType.PAUSE, runs[0], entry=f"1-{n}") for n in range(60)]
    entries += [Command(b, "c", CommandType.STOP, r, entry="2-0") for b, r in zip(businesses[1:], runs[1:], strict=True)]
    await database.commands.receive("0-0", "2-0", entries)
    assert await database.commands.waiting() == businesses
    assert await database.commands.waiting([businesses[0]]) == businesses[1:]
    applied, is_busy = await database.commands.apply_received(businesses[0])
    assert (len(applied), is_busy) == (25, False)
    assert await database.commands.waiting() == businesses


async def test_a_run_is_deleted_after_its_retention_time_and_not_while_its_calls_count(database: DatabaseFixture) -> None:
    business, everything = await database.business(), list(range(256))
    runs = [await database.run(business, 2) for _ in range(2)]
    while attempts := (await database.claim(business))[0]:
        for attempt in attempts:
            await database.record(attempt, AttemptState.OVER, sid=f"CA{attempt.attempt_id}", outcome="completed")
            await database.record(attempt, AttemptState.OVER, sid=f"CB{attempt.attempt_id}", outcome="completed")
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.call_sids WHERE excess") == 4
    kept = await database.run(business, 2)
    await database.pool.execute("UPDATE outbound_call_runs SET ended_at = ended_at - interval '10 days' WHERE id = ANY ($1)", runs)
    assert await database.runs.to_delete(everything, 10) == []
    await database.pool.execute("UPDATE dialer.businesses SET retention_days = 5, min_gap_hours = 300 WHERE business_id = $1", business)
    assert await database.runs.to_delete(everything, 10) == []
    await database.pool.execute("UPDATE dialer.businesses SET min_gap_hours = 24 WHERE business_id = $1", business)
    assert await database.runs.to_delete(everything, 10) == [(business, run) for run in runs]
    assert [await database.runs.delete_part(business, runs[0], 1) for _ in range(2)] == [1, 1]
    assert await database.runs.delete_part(business, runs[1], 10) == 2
    left = await database.pool.fetchval("SELECT (SELECT count(*) FROM dialer.attempts) + (SELECT count(*) FROM dialer.call_sids)")
    assert (left, await database.runs.get(business, runs[0])) == (0, None)
    assert (await database.checked_run(business, kept)).queued == 2


@pytest.mark.parametrize("stored_first", [False, True])
async def test_a_recording_that_arrives_while_its_run_is_deleted_does_not_stay(database: DatabaseFixture, *, stored_first: bool) -> None:
    business = await database.business()
    run_id = await database.run(business, 1)
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.OVER, outcome="completed")
    store = (ATTEMPTS["add_recording"], business, attempt.attempt_id, "RE1", "https://example.com/RE1", 3)
    delete = (RUNS["delete_run"], business, run_id, 10)
    first, second = (store, delete) if stored_first else (delete, store)

    async def it_waits() -> bool:
        return bool(await database.pool.fetchval(WAITING))

    async with database.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute(*first)
            other = asyncio.create_task(database.pool.execute(*second))
            await polling.until(it_waits, DECIDED_SECONDS, "the other statement waits")
        await other
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.attempts") == 0
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.recordings") == 0
    await database.attempts.add_recording(business, attempt.attempt_id, "RE2", "https://example.com/RE2", None)
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.recordings") == 0
