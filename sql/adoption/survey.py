"""Counts the rows of the old application by kind, and describes what their adoption would do to each kind; changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncpg import Record

    from sql.adoption.old_schema import OldSchema
    from sql.pool import Connection

# Each a count of rows: as in the steps of sql/migrations/adoption/. Not among the queries, since a database of ours has no `leads`.
COUNTS: Final = """
WITH job AS MATERIALIZED (
    SELECT j.id, j.run_id, j.lead_id, j.status, r.id AS known_run, r.status AS run_status,
           coalesce(nullif(j.twilio_call_sid, ''), nullif(j.call_sid, '')) IS NOT NULL AS has_sid,
           nullif(j.dial_lock_token, '') IS NOT NULL OR j.dial_started_at IS NOT NULL AS was_dialled,
           greatest(j.started_at, j.dial_started_at, j.completed_at) AS last_at,
           EXISTS (SELECT FROM public.leads l WHERE l.id = j.lead_id) AS has_lead
    FROM public.outbound_call_jobs j LEFT JOIN public.outbound_call_runs r ON r.id = j.run_id
), belonging AS MATERIALIZED (
    SELECT * FROM job WHERE known_run IS NOT NULL AND has_lead
), run AS MATERIALIZED (
    SELECT r.id, r.status, r.created_at, r.total_leads, r.queued_count, r.in_progress_count, r.completed_count, r.failed_count,
           count(b.id) AS total, count(b.id) FILTER (WHERE b.status = 'queued') AS queued,
           count(b.id) FILTER (WHERE b.status IN ('dialing', 'calling')) AS in_progress,
           count(b.id) FILTER (WHERE b.status = 'completed') AS completed, count(b.id) FILTER (WHERE b.status = 'failed') AS failed,
           greatest(coalesce(r.created_at, '-infinity'), max(b.last_at)) AS last_at
    FROM public.outbound_call_runs r LEFT JOIN belonging b ON b.run_id = r.id GROUP BY r.id
), stale AS (
    SELECT id FROM run WHERE status = 'running' AND last_at <= (now() AT TIME ZONE 'UTC') - interval '1 hour'
)
SELECT (SELECT count(*) FROM run) AS runs, (SELECT count(*) FROM job) AS jobs,
       (SELECT count(*) FROM job WHERE run_id IS NULL) AS no_run_id, (SELECT count(*) FROM job WHERE lead_id IS NULL) AS no_lead_id,
       (SELECT count(*) FROM job WHERE run_id IS NOT NULL AND lead_id IS NOT NULL AND known_run IS NULL) AS no_run,
       (SELECT count(*) FROM job WHERE known_run IS NOT NULL AND lead_id IS NOT NULL AND NOT has_lead) AS no_lead,
       (SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM belonging GROUP BY run_id, lead_id) d)::bigint AS duplicates,
       (SELECT count(*) FROM belonging WHERE status = 'dialing' AND NOT has_sid) AS in_doubt,
       (SELECT count(*) FROM belonging WHERE status IN ('dialing', 'calling') AND has_sid) AS on_the_line,
       (SELECT count(*) FROM belonging
        WHERE coalesce(nullif(status, ''), 'queued') = 'queued' AND (has_sid OR was_dialled)) AS queued_in_doubt,
       (SELECT count(*) FROM belonging WHERE NOT has_sid
        AND status NOT IN ('', 'queued', 'dialing', 'calling', 'completed', 'failed', 'cancelled', 'skipped')) AS unknown_word,
       (SELECT count(*) FROM belonging
        WHERE status = 'queued' AND run_status IN ('completed', 'failed', 'cancelled', 'stopped')) AS queued_in_ended,
       (SELECT count(*) FROM stale) AS stale,
       (SELECT count(*) FROM run WHERE coalesce(nullif(status, ''), 'queued') = 'queued') AS never_driven,
       (SELECT count(*) FROM run
        WHERE (total_leads, queued_count, in_progress_count, completed_count, failed_count)
              IS DISTINCT FROM (total, queued, in_progress, completed, failed)) AS counters
"""
# What each of these counts means, and what becomes of the rows.
SENTENCES: Final = {
    "no_run_id": "archive  {n} jobs without a run_id",
    "no_lead_id": "archive  {n} jobs without a lead_id",
    "no_run": "archive  {n} jobs whose run is not there",
    "no_lead": "archive  {n} jobs whose lead is not there",
    "duplicates": "archive  {n} jobs whose lead is in the same run twice; the row of a real call stays",
    "in_doubt": "doubt    {n} jobs are dialing without a sid: not dialled again unless the provider's list proves that there was no call",
    "on_the_line": "doubt    {n} jobs have a call that has not ended: the provider is asked for it by its sid",
    "queued_in_doubt": "doubt    {n} jobs are queued and have a sid, a token or a time of dialling: treated as called",
    "unknown_word": "doubt    {n} jobs have a status that nobody knows: treated as called",
    "queued_in_ended": "cancel   {n} jobs that are queued in a run that has ended",
    "stale": "pause    {n} runs that say running, where nothing has happened for an hour",
    "never_driven": "pending  {n} runs that are queued or have no status, unless some of their leads were called",
    "counters": "recount  {n} runs whose counters are not those of their rows",
}


async def survey(connection: Connection, old: OldSchema) -> list[str]:
    """What is there, and what adoption would do, a line each; of a foreign schema its differences."""
    return list(_lines(old, await connection.fetchrow(COUNTS) if not old.differences else None))


def _lines(old: OldSchema, counts: Record | None) -> Iterator[str]:
    if counts is None:
        yield "foreign  these tables are not those of the old application, and are not touched:"
        yield from (f"         {difference}" for difference in old.differences)
        return
    found = dict(counts)
    variant = "with" if old.has_defaults else "without"
    yield f"adopt    the old application's tables, {variant} defaults in the database: {found['runs']} runs, {found['jobs']} jobs"
    yield from (sentence.format(n=found[name]) for name, sentence in SENTENCES.items() if found[name])
