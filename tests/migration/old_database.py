"""A database as the old application leaves it, in both of its variants, and the statements that it goes on running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).with_name("old")
VARIANTS = ("with_defaults", "by_an_orm")

INSERT_RUN = """INSERT INTO outbound_call_runs (business_id, outbound_list_id, concurrency, total_leads, queued_count, in_progress_count,
    completed_count, failed_count, status, created_at, updated_at, cancel_requested)
    VALUES ($1, NULL, 3, $2, $2, 0, 0, 0, $3, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', FALSE) RETURNING id"""
INSERT_JOB = """INSERT INTO outbound_call_jobs (run_id, lead_id, status, created_at, lead_name)
    VALUES ($1, $2, 'queued', now() AT TIME ZONE 'UTC', 'A lead') RETURNING id"""
READ_PROGRESS = """SELECT status, total_leads, queued_count, in_progress_count, completed_count, failed_count, cancel_requested
    FROM outbound_call_runs WHERE id = $1 AND business_id = $2"""
CHANGE_STATUS = "UPDATE outbound_call_jobs SET status = $2, completed_at = now() AT TIME ZONE 'UTC' WHERE id = $1"
INSERT_LEAD = "INSERT INTO leads (tenant_id, name, phone_e164) VALUES ($1, 'A lead', $2) RETURNING id"
DELETE_LEAD = "DELETE FROM leads WHERE id = $1"

# What adoption must leave alike, whatever it found: of a table each column but its type, which may be wider in a new database.
COLUMNS = """SELECT table_name, column_name, is_nullable, CASE WHEN column_default NOT LIKE 'nextval%' THEN column_default END AS value
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ('outbound_call_runs', 'outbound_call_jobs')
    ORDER BY table_name, column_name"""
OURS = """SELECT c.conname AS name, pg_get_constraintdef(c.oid) AS definition, c.convalidated AS valid FROM pg_constraint c
    WHERE c.conrelid = 'outbound_call_jobs'::regclass AND (c.contype = 'u' OR c.confrelid = 'outbound_call_runs'::regclass)
    UNION ALL
    SELECT t.tgname, pg_get_triggerdef(t.oid), TRUE FROM pg_trigger t
    WHERE t.tgrelid = 'outbound_call_jobs'::regclass AND NOT t.tgisinternal
    UNION ALL
    SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisvalid FROM pg_index i
    WHERE i.indrelid = ANY ('{outbound_call_runs,outbound_call_jobs}'::regclass[]) AND i.indexrelid::regclass::text ~ '^(outbound|unique)'
    UNION ALL
    SELECT c.relname, array_to_string(c.reloptions, ' '), TRUE FROM pg_class c
    WHERE c.oid = ANY ('{outbound_call_runs,outbound_call_jobs}'::regclass[])
    ORDER BY 1, 2"""
SEEN = """SELECT (SELECT count(*) FROM outbound_call_jobs) AS jobs, (SELECT count(*) FROM outbound_call_runs) AS runs"""
# The archive comes with the adoption.
KEPT = "SELECT (SELECT count(*) FROM outbound_call_jobs) + (SELECT count(*) FROM dialer.legacy_archive)"


async def make(database_url: str, variant: str, *fillings: str, jobs: int = 40) -> None:
    """Make the tables of this variant, and fill them with these files."""
    connection = await asyncpg.connect(database_url)
    try:
        for name in ("parents", variant, *fillings):
            text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
            await connection.execute(text.replace(":jobs", str(jobs)))
    finally:
        await connection.close()


async def fetch(database_url: str, statement: str, *values: object) -> list[dict[str, Any]]:
    """The rows of one statement, on a connection of its own."""
    connection = await asyncpg.connect(database_url)
    try:
        return [dict(row) for row in await connection.fetch(statement, *values)]
    finally:
        await connection.close()


async def fetchval(database_url: str, statement: str, *values: object) -> Any:  # noqa: ANN401 - whatever the statement returns
    """The first value."""
    [row, *_] = await fetch(database_url, statement, *values)
    return next(iter(row.values()))


async def shape(database_url: str) -> list[dict[str, Any]]:
    """The two tables as the catalogue has them: of columns, constraints, triggers, indexes and settings those that are ours."""
    return [*await fetch(database_url, COLUMNS), *await fetch(database_url, OURS)]


class OldApplication:
    """A process of the old application: it inserts runs and jobs, reads progress, changes statuses and deletes leads."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection
        self.runs: list[int] = []
        self.jobs: list[int] = []

    async def insert_run(self, business_id: int, phones: Sequence[str], status: str | None = "running") -> int:
        """A run with a lead for each of these numbers."""
        run: int = await self.connection.fetchval(INSERT_RUN, business_id, len(phones), status)
        await self.insert_jobs(run, business_id, phones)
        self.runs.append(run)
        return run

    async def insert_jobs(self, run_id: int, business_id: int, phones: Sequence[str]) -> None:
        """More leads for a run."""
        for phone in phones:
            lead = await self.connection.fetchval(INSERT_LEAD, business_id, phone)
            self.jobs.append(await self.connection.fetchval(INSERT_JOB, run_id, lead))

    async def read_progress(self, run_id: int, business_id: int) -> asyncpg.Record:
        """The status and the counters of a run."""
        row = await self.connection.fetchrow(READ_PROGRESS, run_id, business_id)
        assert row
        return row

    async def turn(self) -> None:
        """Each of its statements once."""
        run = await self.insert_run(1, ["+12025550141", "+12025550142"])
        assert (await self.read_progress(run, 1))["total_leads"] == 2
        await self.connection.execute(CHANGE_STATUS, self.jobs[-1], "failed")
        lead = await self.connection.fetchval(INSERT_LEAD, 1, "+12025550143")
        await self.connection.execute(DELETE_LEAD, lead)
