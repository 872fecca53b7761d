"""The rules of calling in the claim and in the record, on PostgreSQL: what waits, what ends without a call, and why."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dialer.messages import CommandType
from dialer.model import AttemptState
from dialer.policy.windows import Window
from sql.attempts.verdicts import VerdictCode
from sql.runs.zone_windows import ClosedZone, ZoneWindow
from tests.chaos.polling import until

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

PHONE = "+972501234567"
ZONE = "IL:Asia/Jerusalem"
DAY = timedelta(days=1)
BOUND_SECONDS = 10.0
LISTED = "do_not_call"
OLD = VerdictCode.REGISTER_TOO_OLD
HOURS = {"monday": [["09:00", "17:00"]]}
NEVER_OPEN = "UPDATE dialer.run_zones SET opens_at = 'infinity', closes_at = 'infinity' WHERE run_id = $1"
START = "SELECT dialer.command_v1($1, 'http:start', '', 'run.start', $2, NULL, FALSE, 'test', interval '1 day')"


async def rules(database: DatabaseFixture, business: int, **columns: object) -> None:
    for name, value in columns.items():
        await database.pool.execute(f"UPDATE dialer.businesses SET {name} = $2 WHERE business_id = $1", business, value)  # noqa: S608 our own names
    await database.pool.execute("SELECT dialer.reset_windows_v1($1, NULL)", business)


async def open_zones(database: DatabaseFixture, run: int, opens: timedelta, closes: timedelta) -> datetime:
    """Set the window of a run's zones, from now; return when it opens."""
    statement = "UPDATE dialer.run_zones SET opens_at = now() + $2, closes_at = now() + $3 WHERE run_id = $1 RETURNING opens_at"
    opened: datetime = await database.pool.fetchval(statement, run, opens, closes)
    return opened


async def called(database: DatabaseFixture, business: int, ago: timedelta, phone: str = PHONE) -> int:
    """A run that has called a phone some time ago, and is over; returns its id."""
    run = await database.run(business, [phone])
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.OVER, outcome="busy")
    await database.pool.execute("UPDATE dialer.attempts SET created_at = created_at - $2::interval WHERE id = $1", attempt.attempt_id, ago)
    return run


async def refused(database: DatabaseFixture, run: int) -> list[tuple[str, str]]:
    rows = await database.pool.fetch("SELECT rule, verdict FROM dialer.refusals WHERE run_id = $1 ORDER BY rule", run)
    return [(row["rule"], row["verdict"]) for row in rows]


async def lead(database: DatabaseFixture, run: int) -> tuple[str, str | None, str | None]:
    row = await database.pool.fetchrow("SELECT status, outcome, reason FROM outbound_call_jobs WHERE run_id = $1", run)
    assert row
    return row["status"], row["outcome"], row["reason"]


async def test_a_closed_zone_waits_for_its_opening_and_costs_nothing(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, [PHONE], zones=[ZONE])
    opens_at = await open_zones(database, run, timedelta(hours=1), timedelta(hours=2))
    attempts, verdicts = await database.claim(business)
    assert (attempts, verdicts[business].code, verdicts[business].put_off_until) == ([], VerdictCode.PUT_OFF, opens_at)
    assert await refused(database, run) == []
    await open_zones(database, run, -timedelta(hours=1), timedelta(hours=1))
    assert len((await database.claim(business))[0]) == 1


@pytest.mark.parametrize(("closes_in", "taken"), [(4.0, 0), (8.0, 1)])
async def test_no_lead_is_taken_whose_call_could_begin_after_closing(database: DatabaseFixture, closes_in: float, taken: int) -> None:
    business = await database.business()
    run = await database.run(business, [PHONE], zones=[ZONE])
    await open_zones(database, run, -timedelta(hours=1), timedelta(seconds=closes_in))
    assert len((await database.claim(business))[0]) == taken


async def test_a_zone_without_a_window_is_closed(database: DatabaseFixture) -> None:
    business = await database.business()
    await rules(database, business, calling_hours=HOURS)
    await database.run(business, [PHONE], zones=[ZONE])
    attempts, verdicts = await database.claim(business)
    assert (attempts, verdicts[business].code) == ([], VerdictCode.PUT_OFF)


async def test_a_zone_that_never_opens_skips_its_leads_and_the_run_ends(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, [PHONE, "+972501234568"], zones=[ZONE])
    await database.pool.execute(NEVER_OPEN, run)
    await database.claim(business)
    seen = await database.checked_run(business, run)
    assert (seen.skipped, seen.status, await refused(database, run)) == (2, "completed", [("hours", "skip")] * 2)
    events = await database.pool.fetch("SELECT type, data ->> 'reason' AS reason FROM dialer.outbox WHERE run_id = $1 ORDER BY id", run)
    assert [tuple(event) for event in events][-3:] == [("job.changed", "hours_never_open")] * 2 + [("run.finished", None)]


async def test_a_lead_that_waits_when_its_zone_closes_for_ever_is_claimed_again_when_it_is_due_and_ends(database: DatabaseFixture) -> None:
    business = await database.business()
    await called(database, business, timedelta(hours=1))
    run = await create(database, business, [PHONE], {"min_gap_hours": 2})
    await database.claim(business)
    await database.pool.execute(NEVER_OPEN, run)
    verdict = (await database.claim(business))[1][business]
    due = await database.pool.fetchval("SELECT due_at FROM dialer.retries WHERE run_id = $1", run)
    assert (verdict.code, verdict.put_off_until) == (VerdictCode.PUT_OFF, due)
    await database.pool.execute("UPDATE dialer.retries SET due_at = now() WHERE run_id = $1", run)
    await database.claim(business)
    assert (await lead(database, run), (await database.checked_run(business, run)).status) == (
        ("skipped", None, "hours_never_open"),
        "completed",
    )


async def test_a_window_of_rules_that_have_changed_is_not_stored(database: DatabaseFixture) -> None:
    business = await database.business()
    await rules(database, business, calling_hours=HOURS)
    await database.run(business, [PHONE], zones=[ZONE])
    [zone] = await database.runs.closed_zones(list(range(256)), 10)
    await rules(database, business, calling_hours={"monday": []})
    now = datetime.now(UTC)
    window = ZoneWindow(zone, Window(now - DAY, now + DAY, now - DAY, now + DAY))
    assert await database.runs.store_windows([window]) == set()
    [now_closed] = await database.runs.closed_zones(list(range(256)), 10)
    assert await database.runs.store_windows([ZoneWindow(now_closed, window.window)]) == {now_closed.run_id}
    assert isinstance(now_closed, ClosedZone)
    assert await database.runs.closed_zones(list(range(256)), 10) == []


async def test_a_start_waits_for_a_change_of_rules_that_began_before(database: DatabaseFixture) -> None:
    """It would open the zones for ever, by the rules that are no more."""
    business = await database.business()
    run = await database.run(business, [PHONE], zones=[ZONE], start=False)
    async with database.pool.acquire() as admin, database.pool.acquire() as starter:
        # A command of the product gives up after 100 ms; this one is seen to wait, however busy the machine is.
        await starter.execute("SET lock_timeout = '60s'; SET statement_timeout = '60s'")
        async with admin.transaction():
            await admin.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR NO KEY UPDATE", business)
            start = asyncio.create_task(starter.fetchval(START, business, run))

            async def start_waits() -> bool:
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%command_v1%'"
                return bool(await database.pool.fetchval(waiting))

            await until(start_waits, BOUND_SECONDS, "the start waits for the lane")
            await admin.execute("UPDATE dialer.businesses SET calling_hours = $2 WHERE business_id = $1", business, HOURS)
            await admin.execute("SELECT dialer.reset_windows_v1($1, NULL)", business)
        assert (await start)["accepted"]
    assert (await database.claim(business))[0] == []


@pytest.mark.parametrize("columns", [{"max_per_day": 3}, {"max_per_day": 3, "calling_hours": HOURS}])
async def test_a_window_is_stored_with_a_daily_cap(database: DatabaseFixture, columns: dict[str, object]) -> None:
    business = await database.business()
    await rules(database, business, **columns)
    await database.run(business, [PHONE], zones=[ZONE])
    [zone] = await database.runs.closed_zones(list(range(256)), 10)
    now = datetime.now(UTC)
    assert zone.by_day
    assert await database.runs.store_windows([ZoneWindow(zone, Window(now - DAY, now + DAY, now - DAY, now + DAY))]) == {zone.run_id}
    assert len((await database.claim(business))[0]) == 1


async def test_an_open_end_is_stored_as_infinity(database: DatabaseFixture) -> None:
    business = await database.business()
    await rules(database, business, calling_hours=HOURS)
    run = await database.run(business, [PHONE], zones=[ZONE])
    [zone] = await database.runs.closed_zones(list(range(256)), 10)
    await database.runs.store_windows([ZoneWindow(zone, None)])
    never = "SELECT opens_at = 'infinity' AND closes_at = 'infinity' FROM dialer.run_zones WHERE run_id = $1"
    assert await database.pool.fetchval(never, run)


@pytest.mark.parametrize(("register", "current", "reason"), [(False, True, LISTED), (True, True, LISTED), (True, False, None)])
async def test_a_number_on_a_list_is_not_called(database: DatabaseFixture, *, register: bool, current: bool, reason: str | None) -> None:
    business = await database.business()
    run = await database.run(business, [PHONE])
    number = 0
    if register:
        insert = "INSERT INTO dialer.registers (business_id, name, current) VALUES ($1, 'national', $2) RETURNING register_id"
        number = await database.pool.fetchval(insert, business, current)
    await database.pool.execute("INSERT INTO dialer.do_not_call VALUES ($1, $2, $3)", business, PHONE, number)
    other = await database.business()
    await database.run(other, [PHONE])
    attempts, _ = await database.claim(business, other)
    expected = [other] if reason else [business, other]
    assert sorted(attempt.business_id for attempt in attempts) == expected
    assert (await lead(database, run))[2] == reason


async def test_a_retry_of_a_lead_that_came_onto_the_list_ends_by_its_last_outcome(database: DatabaseFixture) -> None:
    business = await database.business()
    await rules(database, business, retries={"busy": {"times": 1, "after_minutes": [0.001]}})
    run = await database.run(business, [PHONE])
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.OVER, outcome="busy")
    await database.pool.execute("INSERT INTO dialer.do_not_call VALUES ($1, $2)", business, PHONE)
    await database.pool.execute("UPDATE dialer.retries SET due_at = now() WHERE run_id = $1", run)
    attempts, _ = await database.claim(business)
    seen = await database.checked_run(business, run)
    assert (attempts, await lead(database, run), seen.status) == ([], ("failed", "busy", "do_not_call"), "completed")


@pytest.mark.parametrize(("recently_called", "status", "verdict"), [("wait", "queued", "wait"), ("skip", "skipped", "skip")])
async def test_the_gap_between_runs(database: DatabaseFixture, recently_called: str, status: str, verdict: str) -> None:
    business = await database.business()
    await called(database, business, timedelta(hours=20))
    await rules(database, business, min_gap_hours=24.0)
    run = await create(database, business, [PHONE], {"recently_called": recently_called})
    for _ in range(3):
        assert (await database.claim(business))[0] == []
    assert ((await lead(database, run))[0], await refused(database, run)) == (status, [("gap", verdict)])
    due = await database.pool.fetchval("SELECT due_at - now() FROM dialer.retries WHERE run_id = $1", run)
    assert due is None or timedelta(hours=3, minutes=59) < due < timedelta(hours=4)


async def test_the_gap_does_not_count_ancestors_retries_and_what_was_not_placed(database: DatabaseFixture) -> None:
    business = await database.business()
    first = await called(database, business, timedelta(hours=1))
    await rules(database, business, min_gap_hours=24.0)
    again = await create(database, business, [PHONE], {}, ancestors=[first])
    [attempt], _ = await database.claim(business)
    assert attempt.run_id == again
    await database.record(attempt, AttemptState.NOT_SENT)
    [attempt], _ = await database.claim(business)
    assert attempt.run_id == again


async def test_a_call_of_another_run_that_was_not_placed_counts_for_no_rule(database: DatabaseFixture) -> None:
    business = await database.business()
    other = await database.run(business, [PHONE])
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.NOT_SENT)
    await database.command(business, CommandType.CANCEL, other)
    await rules(database, business, min_gap_hours=24.0)
    run = await create(database, business, [PHONE], {})
    [attempt], _ = await database.claim(business)
    assert attempt.run_id == run


async def test_the_daily_cap_counts_every_call_of_the_day(database: DatabaseFixture) -> None:
    business = await database.business()
    await called(database, business, timedelta(minutes=2))
    await called(database, business, timedelta(minutes=1))
    run = await create(database, business, [PHONE], {"max_per_day": 2})
    day = "UPDATE dialer.run_zones SET opens_at = now() - '1 h'::interval, closes_at = now() + '1 h', day_from = $2, day_to = $3"
    today = await database.pool.fetchval("SELECT now()") - timedelta(minutes=30)
    await database.pool.execute(f"{day} WHERE run_id = $1", run, today, today + DAY)
    assert (await database.claim(business))[0] == []
    assert await refused(database, run) == [("daily_cap", "wait")]
    assert await database.pool.fetchval("SELECT due_at FROM dialer.retries WHERE run_id = $1", run) == today + DAY


async def test_a_country_that_is_not_allowed(database: DatabaseFixture) -> None:
    business = await database.business()
    await rules(database, business, allowed_countries=["US"])
    run = await database.run(business, [PHONE, "+12125550123"], zones=["US:America/New_York", ZONE])
    await database.claim(business)
    reasons = await database.pool.fetch("SELECT phone, reason FROM outbound_call_jobs WHERE run_id = $1 ORDER BY phone DESC", run)
    assert [row["reason"] for row in reasons] in ([None, "country_not_allowed"], ["country_not_allowed", None])
    assert (await database.checked_run(business, run)).skipped == 1


async def test_a_budget_pauses_the_run_and_the_rest_stays_queued(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await create(database, business, [f"+97250123456{n}" for n in range(5)], {"budget": {"calls": 2}})
    attempts, _ = await database.claim(business)
    seen = await database.checked_run(business, run)
    assert (len(attempts), seen.status, seen.queued, seen.last_error) == (2, "paused", 3, "The budget of 2 calls is used up")
    await database.record(attempts[0], AttemptState.NOT_SENT)
    await database.command(business, CommandType.RESUME, run)
    again, _ = await database.claim(business)
    assert (len(again), (await database.checked_run(business, run)).status) == (1, "paused")


@pytest.mark.parametrize("statement", ["UPDATE dialer.businesses SET stopped_at = {}", "UPDATE dialer.installation SET stopped_at = {}"])
async def test_stopped_dialling_takes_nothing_until_it_is_resumed(database: DatabaseFixture, statement: str) -> None:
    business = await database.business()
    run = await database.run(business, [PHONE])
    await database.pool.execute(statement.format("now()"))
    attempts, verdicts = await database.claim(business)
    assert (attempts, verdicts[business].code, (await database.checked_run(business, run)).status) == ([], VerdictCode.STOPPED, "running")
    await database.pool.execute(statement.format("NULL"))
    assert len((await database.claim(business))[0]) == 1


async def test_at_its_very_age_a_register_may_be_relied_on_in_the_claim_and_in_what_a_person_is_told(database: DatabaseFixture) -> None:
    business = await database.business()
    await rules(database, business, required_registers=[{"name": "national", "max_age_days": 15}])
    insert = "INSERT INTO dialer.registers (business_id, name, imported_at, current) VALUES ($1, 'national', now() - $2::interval, TRUE)"
    said = """
    SELECT dialer.lacks_register(b.business_id, b.required_registers), EXISTS (SELECT FROM dialer.register_needed_v1(b.business_id))
    FROM dialer.businesses b WHERE b.business_id = $1
    """
    for age, is_lacking in ((timedelta(days=15), False), (timedelta(days=15, microseconds=1), True)):
        # One transaction, so now() is one moment.
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("DELETE FROM dialer.registers")
            await connection.execute(insert, business, age)
            assert tuple(await connection.fetchrow(said, business) or ()) == (is_lacking, is_lacking)


@pytest.mark.parametrize(("age_days", "code"), [(14, VerdictCode.EMPTY), (16, OLD), (None, OLD)])
async def test_a_register_that_is_too_old_or_missing_stops_the_business(
    database: DatabaseFixture, age_days: int | None, code: VerdictCode
) -> None:
    business = await database.business()
    await rules(database, business, required_registers=[{"name": "national", "max_age_days": 15}])
    if age_days is not None:
        insert = (
            "INSERT INTO dialer.registers (business_id, name, imported_at, current) VALUES ($1, 'national', now() - $2::interval, TRUE)"
        )
        await database.pool.execute(insert, business, timedelta(days=age_days))
    await database.run(business, [PHONE])
    _, verdicts = await database.claim(business)
    assert verdicts[business].code == code


async def test_retries_of_each_outcome_by_itself_and_the_last_outcome_is_kept(database: DatabaseFixture) -> None:
    business = await database.business()
    retries = {"no-answer": {"times": 2, "after_minutes": [30, 240]}, "busy": {"times": 1, "after_minutes": [5]}}
    run = await create(database, business, [PHONE], {"retries": retries})
    pauses = []
    for outcome in ("no-answer", "busy", "no-answer", "busy"):
        [attempt], _ = await database.claim(business)
        await database.record(attempt, AttemptState.OVER, outcome=outcome)
        pauses.append(await database.pool.fetchval("SELECT due_at - now() FROM dialer.retries WHERE run_id = $1", run))
        await database.pool.execute("UPDATE dialer.retries SET due_at = now() WHERE run_id = $1", run)
    minutes = [None if pause is None else round(pause.total_seconds() / 60) for pause in pauses]
    assert (minutes, await lead(database, run)) == ([30, 5, 240, None], ("failed", "busy", None))
    seen = await database.checked_run(business, run)
    assert (seen.status, seen.failed) == ("completed", 1)


@pytest.mark.parametrize(("answered_by", "status"), [("machine_start", "queued"), ("human", "completed")])
async def test_a_machine_that_will_be_called_again_is_queued(database: DatabaseFixture, answered_by: str, status: str) -> None:
    business = await database.business()
    run = await create(database, business, [PHONE], {"retries": {"machine": {"times": 1, "after_minutes": [1]}}})
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.LIVE, answered_by=answered_by)
    await database.record(attempt, AttemptState.OVER, outcome="completed")
    outcome = "machine" if answered_by.startswith("machine") else "human"
    assert await lead(database, run) == (status, outcome, None)
    await database.checked_run(business, run)


@pytest.mark.parametrize("command", [CommandType.CANCEL, CommandType.STOP])
async def test_there_is_no_retry_after_a_cancel(database: DatabaseFixture, command: CommandType) -> None:
    business = await database.business()
    run = await create(database, business, [PHONE], {"retries": {"busy": {"times": 1, "after_minutes": [1]}}})
    [attempt], _ = await database.claim(business)
    await database.command(business, command, run)
    await database.record(attempt, AttemptState.OVER, outcome="busy")
    assert await lead(database, run) == ("failed", "busy", None)
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.retries") == 0


async def test_there_is_no_retry_of_a_call_that_a_person_has_hung_up(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await create(database, business, [PHONE], {"retries": {"busy": {"times": 1, "after_minutes": [1]}}})
    [attempt], _ = await database.claim(business)
    await database.record(attempt, AttemptState.RINGING, sid="CA1")
    assert (await database.command(business, CommandType.CANCEL_JOB, run, job_id=attempt.job_id, hang_up=True)).accepted
    await database.record(attempt, AttemptState.OVER, sid="CA1", outcome="busy")
    assert await lead(database, run) == ("failed", "busy", None)
    assert (await database.checked_run(business, run)).status == "completed"


async def test_a_refused_lead_takes_no_slot_of_the_leads_behind_it(database: DatabaseFixture) -> None:
    business = await database.business()
    numbers = [f"+97250123456{n}" for n in range(6)]
    for phone in numbers[:4]:
        await database.pool.execute("INSERT INTO dialer.do_not_call VALUES ($1, $2)", business, phone)
    run = await database.run(business, numbers)
    taken: list[str] = []
    code = VerdictCode.AGAIN
    while code == VerdictCode.AGAIN:
        attempts, verdicts = await database.claim(business, permits=1)
        taken += [attempt.phone for attempt in attempts]
        code = verdicts[business].code
    assert (taken, code) == (numbers[4:], VerdictCode.EMPTY)
    seen = await database.checked_run(business, run)
    assert (seen.skipped, seen.in_progress, seen.cursor_position) == (4, 2, 6)


async def create(
    database: DatabaseFixture, business: int, phones: list[str], settings: dict[str, Any], ancestors: list[int] | None = None
) -> int:
    """A running run with settings of its own."""
    run = await database.run(business, phones, zones=[ZONE], start=False)
    update = "UPDATE outbound_call_runs SET settings = $2, ancestors = $3 WHERE id = $1"
    await database.pool.execute(update, run, settings, ancestors or [])
    await database.command(business, CommandType.START, run)
    return run
