"""The old application's database is adopted: both of its variants, with every kind of dirt, interrupted anywhere, while it is in use."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from sql.adoption.adopt import adoption_steps
from sql.adoption.old_schema import ForeignSchemaError
from sql.migrate import migrate, plan, report
from sql.statements import statements
from tests.migration.old_database import DELETE_LEAD, KEPT, SEEN, VARIANTS, OldApplication, fetch, fetchval, make, shape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATUSES = {"pending", "running", "paused", "completed", "cancelled", "stopped", "failed"}
RUN = "SELECT * FROM outbound_call_runs WHERE id = $1"
COUNTS = ("total_leads", "queued_count", "in_progress_count", "completed_count", "failed_count", "cancelled_count", "skipped_count")
# The runs of tests/migration/old/dirty.sql.
STALE, DRIVEN, CANCELLED, FAILED, NEVER, STOPPED, STUCK = range(101, 108)
# A status that nobody knows: may have been called. The same lead twice.
WORDS = """INSERT INTO outbound_call_jobs (run_id, lead_id, status)
    VALUES (107, 100016, 'busy'), (107, 100017, 'queued'), (107, 100017, 'no answer')"""


@asynccontextmanager
async def old_application(database_url: str) -> AsyncIterator[OldApplication]:
    connection = await asyncpg.connect(database_url)
    try:
        yield OldApplication(connection)
    finally:
        await connection.close()


async def counts(database_url: str, run_id: int) -> tuple[int, ...]:
    [run] = await fetch(database_url, RUN, run_id)
    return tuple(run[name] for name in COUNTS)


async def jobs_of(database_url: str, run_id: int) -> dict[int, tuple[str, str | None]]:
    """Status and sid of the jobs of a run, by the last digits of their leads."""
    rows = await fetch(database_url, "SELECT lead_id, status, twilio_call_sid FROM outbound_call_jobs WHERE run_id = $1", run_id)
    assert len(rows) == len({row["lead_id"] for row in rows})
    return {row["lead_id"] % 1000: (row["status"], row["twilio_call_sid"]) for row in rows}


async def test_each_kind_of_dirt(dirty_url: str) -> None:
    await fetch(dirty_url, WORDS)
    before = await fetchval(dirty_url, "SELECT count(*) FROM outbound_call_jobs")
    told = "\n".join(await plan(dirty_url))
    for words in (
        "2 jobs without a run_id",
        "2 jobs without a lead_id",
        "1 jobs whose run",
        "1 jobs whose lead",
        "6 jobs whose lead is in",
    ):
        assert f"archive  {words}" in told
    assert "doubt    2 jobs have a status that nobody knows" in told
    await migrate(dirty_url)
    assert (await report(dirty_url)).up_to_date
    assert await plan(dirty_url) == []
    archived = await fetch(dirty_url, "SELECT reason, row ->> 'status' AS status, row FROM dialer.legacy_archive ORDER BY reason, row_id")
    assert [row["reason"] for row in archived] == [
        *["no lead_id"] * 2, *["no run_id"] * 2, "no such lead", "no such run", *["the same lead twice in a run"] * 6
    ]  # fmt: skip
    assert await fetchval(dirty_url, KEPT) == before, "no row is lost"
    # Of duplicates the row of a real call is kept, and what a person has cancelled.
    jobs = await jobs_of(dirty_url, STALE)
    assert jobs[6] == ("failed", "CAreal")
    assert (jobs[7][0], jobs[8][0], jobs[9][0]) == ("failed", "dialing", "cancelled")
    # In doubt, and so never queued.
    assert [jobs[n][0] for n in (1, 2, 3, 4, 5)] == ["dialing", "dialing", "calling", "calling", "dialing"]
    assert jobs[15][0] == "queued"
    assert await jobs_of(dirty_url, STUCK) == {14: ("queued", None), 16: ("dialing", None), 17: ("dialing", None)}
    unfilled = "SELECT count(*) FROM outbound_call_jobs WHERE business_id IS NULL OR position IS NULL OR status IS NULL"
    assert await fetchval(dirty_url, unfilled) == 0


async def test_what_becomes_of_the_runs(dirty_url: str) -> None:
    await migrate(dirty_url)
    runs = {row["id"]: row for row in await fetch(dirty_url, "SELECT * FROM outbound_call_runs")}
    assert {row["status"] for row in runs.values()} <= STATUSES
    stale = runs[STALE]
    assert (stale["status"], stale["last_error"]) == ("paused", "The old application did not finish this run.")
    assert await counts(dirty_url, STALE) == (15, 6, 6, 0, 2, 1, 0)
    assert (runs[DRIVEN]["status"], runs[DRIVEN]["started_at"]) == ("running", None)
    assert (runs[CANCELLED]["status"], *await counts(dirty_url, CANCELLED)) == ("cancelled", 2, 0, 0, 1, 0, 1, 0)
    # Its call in doubt keeps it from being over; nothing of it is ever called again.
    assert (runs[FAILED]["status"], *await counts(dirty_url, FAILED)) == ("failed", 3, 0, 1, 1, 0, 1, 0)
    assert runs[FAILED]["cancel_requested"]
    assert (runs[NEVER]["status"], runs[NEVER]["concurrency"], *await counts(dirty_url, NEVER)) == ("pending", 3, 1, 1, 0, 0, 0, 0, 0)
    assert (runs[STOPPED]["status"], runs[STUCK]["status"], runs[STUCK]["concurrency"]) == ("stopped", "paused", 1)
    assert (runs[1]["status"], runs[2]["status"]) == ("completed", "pending")


@pytest.mark.parametrize("variant", VARIANTS)
async def test_every_variant_ends_as_a_new_database(empty_database_url: str, database_url: str, variant: str) -> None:
    """But for the types of ids, the keys to the old application's tables, and the index by business, which is for that application."""
    await make(empty_database_url, variant)
    await migrate(empty_database_url)
    adopted, new = await shape(empty_database_url), await shape(database_url)
    assert [row for row in adopted if row.get("name") != "outbound_call_jobs_by_business"] == new


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("DROP TABLE outbound_call_jobs", "table outbound_call_jobs is missing"),
        ("ALTER TABLE outbound_call_jobs DROP COLUMN dial_lock_token", "outbound_call_jobs.dial_lock_token is missing"),
        ("ALTER TABLE outbound_call_runs ALTER COLUMN created_at TYPE TIMESTAMPTZ", "created_at is timestamp with time zone, not"),
        ("ALTER TABLE outbound_call_runs ADD COLUMN settings TEXT", "outbound_call_runs.settings is text, not jsonb"),
        (
            "ALTER TABLE outbound_call_jobs ADD COLUMN stamp TEXT NOT NULL",
            "jobs.stamp is unknown, and every row must have it",
        ),
        ("ALTER TABLE leads RENAME phone_e164 TO phone", "leads.phone_e164 is missing"),
        ("ALTER TABLE outbound_call_runs ALTER COLUMN cancel_requested DROP NOT NULL", "outbound_call_runs.cancel_requested may be NULL"),
        ("ALTER TABLE outbound_call_runs ADD CHECK (status IN ('queued', 'running'))", "outbound_call_runs allows its own words of status"),
        ("CREATE TABLE notes (job_id INTEGER REFERENCES outbound_call_jobs)", "notes refers to outbound_call_jobs"),
        ("CREATE UNIQUE INDEX outbound_call_jobs_position ON outbound_call_jobs (id)", "position is an index of another"),
        (
            "CREATE RULE keep AS ON DELETE TO outbound_call_jobs DO INSTEAD NOTHING",
            "outbound_call_jobs has a rule, which keeps rows from being changed as a migration has to: DROP RULE keep ON",
        ),
        (
            "CREATE RULE note AS ON UPDATE TO outbound_call_runs DO ALSO NOTIFY runs",
            "DROP RULE note ON outbound_call_runs, or make it a trigger",
        ),
        (
            "ALTER TABLE outbound_call_jobs DROP CONSTRAINT outbound_call_jobs_pkey",
            "give each row its own, then ALTER TABLE outbound_call_jobs ADD PRIMARY KEY (id)",
        ),
        ("ALTER TABLE outbound_call_runs DROP CONSTRAINT outbound_call_runs_pkey CASCADE", "outbound_call_runs.id is no primary key"),
    ],
)
async def test_a_foreign_schema_is_refused(empty_database_url: str, change: str, difference: str) -> None:
    await make(empty_database_url, "with_defaults")
    await fetch(empty_database_url, change)
    before = await fetch(empty_database_url, "SELECT relname FROM pg_class ORDER BY oid")
    assert difference in "\n".join(await plan(empty_database_url))
    with pytest.raises(ForeignSchemaError) as refused:
        await migrate(empty_database_url)
    assert difference in str(refused.value)
    assert await fetch(empty_database_url, "SELECT relname FROM pg_class ORDER BY oid") == before, "nothing was changed"


async def test_tables_of_another_owner_are_refused(empty_database_url: str) -> None:
    await make(empty_database_url, "with_defaults")
    await fetch(empty_database_url, "CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    try:
        place = urlsplit(empty_database_url)
        told = await plan(place._replace(netloc=f"stranger:stranger@{place.hostname}:{place.port}").geturl())
        assert f"         outbound_call_jobs belongs to {place.username}, and only its owner can add columns: " in "\n".join(told)
    finally:
        await fetch(empty_database_url, "DROP ROLE stranger")


async def test_the_commands_say_what_they_would_do_and_do_it(empty_database_url: str) -> None:
    await make(empty_database_url, "with_defaults", "dirty")

    async def command(*arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sql", *arguments, env={"DATABASE_URL": empty_database_url}, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    code, told = await command("migrate", "--dry-run")
    assert (code, "pending  adoption_03_duplicates" in told, "archive  2 jobs without a run_id" in told) == (0, True, True)
    assert await fetchval(empty_database_url, "SELECT to_regnamespace('dialer') IS NULL"), "nothing was changed"
    code, _ = await command("check")
    assert code == 1
    code, told = await command("migrate")
    assert (code, "applied adoption_03_duplicates" in told) == (0, True)
    assert re.search(r"^longest lock: a table for \d+ ms \(\w+\), a row for \d+ ms \(adoption_\w+\)$", told, re.MULTILINE)
    code, told = await command("check")
    assert (code, told.splitlines()[-1]) == (0, "the schema is up to date")


async def test_four_at_once_while_the_old_application_goes_on(dirty_url: str) -> None:
    before = (await fetch(dirty_url, SEEN))[0]
    async with old_application(dirty_url) as old:
        migrations = [asyncio.create_task(migrate(dirty_url)) for _ in range(4)]
        turns = 0
        while not all(migration.done() for migration in migrations):
            await old.turn()
            turns += 1
        applied = [migration.result() for migration in migrations]
        await old.turn()
    assert sorted(bool(names) for names in applied) == [False, False, False, True]
    assert turns > 0
    assert await fetchval(dirty_url, KEPT) == before["jobs"] + len(old.jobs)
    assert await fetchval(dirty_url, "SELECT count(*) FROM outbound_call_runs") == before["runs"] + len(old.runs)
    unfilled = """SELECT count(*) FROM outbound_call_jobs j JOIN outbound_call_runs r ON r.id = j.run_id
        WHERE j.business_id IS DISTINCT FROM r.business_id"""
    assert await fetchval(dirty_url, unfilled) == 0


KILLED = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError)
# Ends the session that records a step, before it has committed.
KILLER = """
CREATE FUNCTION dialer.kill() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF NEW.name = current_setting('test.killed', TRUE) THEN
        PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(5);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER kill BEFORE INSERT ON dialer.schema_migrations FOR EACH ROW EXECUTE FUNCTION dialer.kill()
"""


async def test_killed_at_every_step_and_started_again(dirty_url: str, database_url: str) -> None:
    """Four at once: the first that reaches the step is killed there, and so is each of the others that goes on from where it was."""
    before = await fetchval(dirty_url, "SELECT count(*) FROM outbound_call_jobs")
    for name in ("create_schema", "create_applied"):
        await fetch(dirty_url, statements("migrations")[name])
    async with old_application(dirty_url) as old:
        await old.connection.execute(KILLER)
        database = await old.connection.fetchval("SELECT current_database()")
        for step in ("0001_baseline", *(step.name for step in adoption_steps()), "0002_public", "claim_v1"):
            await old.connection.execute(f"ALTER DATABASE \"{database}\" SET test.killed = '{step}'")
            ended = await asyncio.gather(*(migrate(dirty_url) for _ in range(4)), return_exceptions=True)
            assert all(isinstance(one, KILLED) for one in ended), ended
            assert await old.connection.fetchval("SELECT count(*) FROM dialer.schema_migrations WHERE name = $1", step) == 0
            await old.turn()
        await old.connection.execute(f'ALTER DATABASE "{database}" RESET test.killed')
        await asyncio.gather(*(migrate(dirty_url) for _ in range(4)))
        await old.connection.execute("DROP TRIGGER kill ON dialer.schema_migrations")
    assert (await report(dirty_url)).up_to_date
    assert await fetchval(dirty_url, KEPT) == before + len(old.jobs)
    assert await fetchval(dirty_url, "SELECT count(*) FROM dialer.legacy_archive") == 11, "nothing is archived twice"
    assert await counts(dirty_url, STALE) == (15, 6, 6, 0, 2, 1, 0)
    adopted, new = await shape(dirty_url), await shape(database_url)
    assert [row for row in adopted if row.get("name") != "outbound_call_jobs_by_business"] == new, "the same schema"


async def test_an_index_that_was_interrupted_is_built_anew(empty_database_url: str) -> None:
    """Rows that it does not allow, written meanwhile, are put right first."""
    await make(empty_database_url, "by_an_orm", "filled", "dirty")
    twice = "INSERT INTO outbound_call_jobs (run_id, lead_id, status) SELECT 1, 1, 'queued' FROM generate_series(1, 2)"
    await fetch(empty_database_url, twice)
    with pytest.raises(asyncpg.UniqueViolationError):
        await fetch(empty_database_url, "CREATE UNIQUE INDEX CONCURRENTLY unique_run_lead ON outbound_call_jobs (run_id, lead_id)")
    for name in ("create_schema", "create_applied"):
        await fetch(empty_database_url, statements("migrations")[name])
    # As if the duplicates had been removed before they were written.
    await fetch(empty_database_url, statements("migrations")["record"], "adoption", "adoption_03_duplicates", "")
    await migrate(empty_database_url)
    assert await fetchval(empty_database_url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'unique_run_lead'::regclass")
    assert await fetchval(empty_database_url, "SELECT count(*) FROM outbound_call_jobs WHERE run_id = 1 AND lead_id = 1") == 1


async def test_a_table_that_somebody_keeps_locked_is_waited_for_and_nobody_behind_it(empty_database_url: str) -> None:
    await make(empty_database_url, "with_defaults", "filled")
    async with old_application(empty_database_url) as holder, old_application(empty_database_url) as other:
        async with holder.connection.transaction():
            await holder.connection.execute("UPDATE outbound_call_jobs SET lead_name = 'held' WHERE run_id = 2")
            migration = asyncio.create_task(migrate(empty_database_url))
            while not await other.connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"):
                assert not migration.done()
            # Waits behind the migration no longer than that waits itself.
            await other.connection.execute("SET statement_timeout = '10s'")
            await other.turn()
        await migration
    assert (await report(empty_database_url)).up_to_date


async def test_the_old_statements_afterwards(empty_database_url: str) -> None:
    await make(empty_database_url, "by_an_orm", "filled")
    await migrate(empty_database_url)
    async with old_application(empty_database_url) as old:
        await old.turn()
        run = await old.insert_run(2, ["+12025550151"])
        filled: Any = await old.connection.fetchrow("SELECT business_id, status FROM outbound_call_jobs WHERE id = $1", old.jobs[-1])
        assert (filled["business_id"], filled["status"]) == (2, "queued")
        lead = await old.connection.fetchval("SELECT lead_id FROM outbound_call_jobs WHERE run_id = $1", run)
        assert await old.connection.execute(DELETE_LEAD, lead) == "DELETE 1"
        with pytest.raises(asyncpg.UniqueViolationError):
            await old.connection.execute("INSERT INTO outbound_call_jobs (run_id, lead_id) VALUES ($1, $2)", run, lead)
