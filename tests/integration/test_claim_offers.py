"""What a claim reads of the past, and which of several retries it offers first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.model import AttemptState

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

PHONE, ZONE = "+972501234567", "IL:Asia/Jerusalem"
# More calls of the past.
CALLED_FOR_YEARS = """
INSERT INTO dialer.attempts (business_id, run_id, job_id, created_at, send_by, ring_seconds, token, nonce, phone, from_number, state,
                             outcome)
SELECT a.business_id, a.run_id, a.job_id, a.created_at - interval '200 days' - n * interval '1 hour', a.send_by, a.ring_seconds,
       a.token, gen_random_uuid(), a.phone, a.from_number, a.state, a.outcome
FROM dialer.attempts a CROSS JOIN generate_series(1, 500) n WHERE a.business_id = $1"""
CLAIM = "SELECT attempt_id FROM dialer.claim_v1($1, gen_random_uuid(), ARRAY[$2::integer], ARRAY[$3::bigint], '{3}', 5, 30, 10, 'AC')"
READ = "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = 'dialer' AND relname = 'attempts'"
PLAN = "SELECT dialer.claim_v1(gen_random_uuid(), gen_random_uuid(), '{}', '{}', '{}', 0, 0, 0, '')"
DUE = "INSERT INTO dialer.retries (business_id, run_id, job_id, zone, due_at, reason) VALUES ($1, $2, $3, $4, '2026-01-01', 'retry')"
TWO_ZONES = """
INSERT INTO dialer.run_zones (business_id, run_id, zone, first_position, last_position, next_position, opens_at, closes_at)
SELECT $1, $2, zone, n, n, n + 1, '-infinity', 'infinity'
FROM unnest('{IL:Asia/Jerusalem,US:America/New_York}'::text[]) WITH ORDINALITY AS z (zone, n)"""


async def test_of_a_number_that_was_called_for_years_a_claim_reads_what_the_rules_look_at(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, [PHONE])
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.OVER, outcome="busy")
    await database.pool.execute(CALLED_FOR_YEARS, business)
    await database.run(business, [PHONE])
    epoch = database.epochs[await database.partition(business)]
    async with database.pool.acquire() as connection, connection.transaction():
        taken = [row for row in await connection.fetch(CLAIM, database.incarnation, business, epoch) if row["attempt_id"]]
        assert (len(taken), await connection.fetchval(READ) < 50) == (1, True)


async def test_a_plan_from_before_the_first_call_reads_the_calls_of_a_number_not_of_the_business(database: DatabaseFixture) -> None:
    business = await database.business()
    async with database.pool.acquire() as connection:
        await connection.execute(PLAN)
        await database.run(business, [PHONE])
        [attempt], _ = await database.claim(business)
        await database.record(attempt, AttemptState.OVER, outcome="busy")
        await database.pool.execute(CALLED_FOR_YEARS, business)
        await database.pool.execute("UPDATE dialer.attempts SET created_at = now() - interval '1 day', phone = '+97250' || id")
        await database.run(business, [PHONE])
        epoch = database.epochs[await database.partition(business)]
        async with connection.transaction():
            taken = [row for row in await connection.fetch(CLAIM, database.incarnation, business, epoch) if row["attempt_id"]]
            assert (len(taken), await connection.fetchval(READ) < 50) == (1, True)


async def test_of_retries_that_are_due_at_once_in_two_zones_the_lead_that_came_first_is_called(database: DatabaseFixture) -> None:
    business = await database.business(max_calls=1)
    run = await database.run(business, [PHONE, "+12025550123"])
    first, second = await database.pool.fetch("SELECT id, position FROM outbound_call_jobs WHERE run_id = $1 ORDER BY id", run)
    await database.pool.execute("UPDATE outbound_call_jobs SET position = -position WHERE run_id = $1", run)
    for job, position, zone in ((first, 2, "US:America/New_York"), (second, 1, ZONE)):
        await database.pool.execute("UPDATE outbound_call_jobs SET position = $2 WHERE id = $1", job["id"], position)
        await database.pool.execute(DUE, business, run, job["id"], zone)
    await database.pool.execute("DELETE FROM dialer.run_zones WHERE run_id = $1", run)
    await database.pool.execute(TWO_ZONES, business, run)
    [attempt], _ = await database.claim(business)
    assert attempt.job_id == first["id"]
