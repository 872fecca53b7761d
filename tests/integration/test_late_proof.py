"""Late proof: a call that was thought absent exists after all, and meanwhile its lead was cancelled, ended by a rule, or waits again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dialer.messages import CommandType
from dialer.model import AttemptState
from sql.attempts.verdicts import RecordVerdict
from tests.integration.test_claim_rules import PHONE, create

if TYPE_CHECKING:
    from sql.attempts.attempts import ClaimedAttempt
    from tests.rows import DatabaseFixture

LIVE, OVER, UNKNOWN, NOT_PLACED = AttemptState.LIVE, AttemptState.OVER, AttemptState.UNKNOWN, AttemptState.NOT_PLACED
FOUR_HOURS = {"no-answer": {"times": 1, "after_minutes": [240]}}
TOO_MANY_CALLS = 10004
JOB = "SELECT status, attempts, outcome FROM outbound_call_jobs WHERE run_id = $1 ORDER BY position LIMIT 1"
OTHER = "+972501234568"
WAITS = "SELECT extract(epoch FROM due_at - now())::float8 FROM dialer.retries WHERE run_id = $1"
REFUSED = "INSERT INTO dialer.do_not_call (business_id, phone) VALUES ($1, $2)"


async def thought_absent(database: DatabaseFixture, settings: dict[str, Any], *others: str) -> tuple[int, int, ClaimedAttempt]:
    """A run whose first lead is queued again, because nobody knows of its call: business, run, and that attempt."""
    business = await database.business(max_calls=1)
    run = await create(database, business, [PHONE, *others], settings)
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, UNKNOWN)
    await database.pool.execute("UPDATE dialer.attempts SET send_by = now() - interval '61 seconds'")
    partition = await database.partition(business)
    proof = {"owner": str(database.incarnation), "epoch": database.epochs[partition], "lag_seconds": 60.0, "token": None}
    assert (await database.record(attempt, NOT_PLACED, **proof)).verdict == RecordVerdict.APPLIED
    return business, run, attempt


async def job(database: DatabaseFixture, run: int) -> tuple[str, int, str | None]:
    row = await database.pool.fetchrow(JOB, run)
    assert row
    return row["status"], row["attempts"], row["outcome"]


@pytest.mark.parametrize(
    ("end", "status"),
    [({"outcome": "no-answer"}, "failed"), ({"outcome": "failed", "error_code": TOO_MANY_CALLS}, "cancelled")],
    ids=["no-answer", "too many calls"],
)
async def test_a_cancelled_lead_is_never_called_again(database: DatabaseFixture, end: dict[str, Any], status: str) -> None:
    business, run, attempt = await thought_absent(database, {"retries": FOUR_HOURS}, OTHER)
    job_id = await database.pool.fetchval("SELECT min(id) FROM outbound_call_jobs WHERE run_id = $1", run)
    assert (await database.command(business, CommandType.CANCEL_JOB, run, job_id=job_id)).job_status == "cancelled"
    await database.record(attempt, OVER, sid="CA1", token=None, **end)
    assert (await job(database, run))[0] == status
    assert await database.pool.fetchval(WAITS, run) is None
    assert (await database.checked_run(business, run)).queued == 1


async def test_the_call_of_a_cancelled_lead_is_hung_up(database: DatabaseFixture) -> None:
    business, run, attempt = await thought_absent(database, {"retries": FOUR_HOURS})
    job_id = await database.pool.fetchval("SELECT id FROM outbound_call_jobs WHERE run_id = $1", run)
    await database.command(business, CommandType.CANCEL_JOB, run, job_id=job_id)
    assert (await database.record(attempt, LIVE, sid="CA1", token=None)).hang_up
    assert (await database.checked_run(business, run)).in_progress == 1
    await database.record(attempt, OVER, sid="CA1", token=None, outcome="no-answer")
    assert (await job(database, run))[0] == "failed"
    assert (await database.claim(business))[0] == []


async def test_a_lead_that_waits_again_was_called_and_waits_for_its_pause(database: DatabaseFixture) -> None:
    business, run, attempt = await thought_absent(database, {"retries": FOUR_HOURS, "budget": {"calls": 2}})
    await database.record(attempt, OVER, sid="CA1", token=None, outcome="no-answer")
    assert await job(database, run) == ("queued", 1, "no-answer")
    assert await database.pool.fetchval(WAITS, run) == pytest.approx(240 * 60, abs=60)
    assert await database.pool.fetchval("SELECT calls_count FROM outbound_call_runs WHERE id = $1", run) == 1
    assert (await database.claim(business))[0] == []
    assert (await database.checked_run(business, run)).queued == 1


@pytest.mark.parametrize(
    ("end", "counted"),
    [({"outcome": "completed"}, "completed"), ({"outcome": "failed", "error_code": TOO_MANY_CALLS}, "skipped")],
    ids=["completed", "too many calls"],
)
async def test_a_lead_that_a_rule_has_ended_stays_ended(database: DatabaseFixture, end: dict[str, Any], counted: str) -> None:
    business, run, attempt = await thought_absent(database, {})
    await database.pool.execute(REFUSED, business, PHONE)
    assert (await database.claim(business))[0] == []
    assert (await database.checked_run(business, run)).skipped == 1
    await database.record(attempt, OVER, sid="CA1", token=None, **end)
    assert getattr(await database.checked_run(business, run), counted) == 1


async def test_a_call_that_a_person_says_is_over_is_not_made_again(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await create(database, business, [PHONE], {"retries": {"failed": {"times": 2, "after_minutes": [1]}}})
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, LIVE, sid="CA1")
    await database.record(attempt, OVER, token=None, outcome="failed", by_person=True)
    assert (await job(database, run))[0] == "failed"
    assert (await database.checked_run(business, run)).status == "completed"


async def test_again_has_the_leads_of_a_cancelled_run_before_their_rows_are_rewritten(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await create(database, business, [f"+1202555{n:04}" for n in range(1000, 1201)], {"retries": FOUR_HOURS})
    attempts, _ = await database.claim(business)
    for n, attempt in enumerate(attempts):
        await database.record(attempt, OVER, sid=f"CA{n}", outcome="no-answer")
    await database.command(business, CommandType.CANCEL, run)
    made = await database.run(business, 0, start=False)
    copied = await database.pool.fetchval("SELECT dialer.copy_leads_v1($1, $2, $3, '{no-answer}')", business, run, made)
    assert copied == len(attempts)


async def test_late_proof_takes_back_the_retry_of_its_lead(database: DatabaseFixture) -> None:
    business = await database.business()
    await database.run(business, 1)
    [attempt], _ = await database.claim(business)
    retries = "SELECT count(*) FROM dialer.retries WHERE business_id = $1"
    assert (await database.record(attempt, AttemptState.NOT_SENT)).verdict == RecordVerdict.APPLIED
    await database.pool.execute("UPDATE dialer.attempts SET state = 'not_placed' WHERE id = $1", attempt.attempt_id)
    assert await database.pool.fetchval(retries, business) == 1
    assert (await database.record(attempt, AttemptState.PLACED, sid="CA1")).verdict == RecordVerdict.APPLIED
    assert await database.pool.fetchval(retries, business) == 0
