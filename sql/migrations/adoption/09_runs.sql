-- in parts, of runs
-- The counters and the status of each run, by its rows. A run that says 'running' while nothing has happened for an
-- hour is paused, for a person to look at; one that the old application is driving stays as it is. A cancel that was
-- requested and never carried out ends the run, once none of its calls is in doubt. A run of the last minute that has
-- fewer jobs than it says is still being filled: its counters stay.
WITH part AS MATERIALIZED (
    SELECT r.id FROM public.outbound_call_runs r WHERE r.id > $1 ORDER BY r.id LIMIT $2
), counted AS MATERIALIZED (
    SELECT p.id, count(j.id)::integer AS total, count(*) FILTER (WHERE j.status = 'queued')::integer AS queued,
           count(*) FILTER (WHERE j.status IN ('dialing', 'calling'))::integer AS in_progress,
           count(*) FILTER (WHERE j.status = 'completed')::integer AS completed,
           count(*) FILTER (WHERE j.status = 'failed')::integer AS failed,
           count(*) FILTER (WHERE j.status = 'cancelled')::integer AS cancelled,
           count(*) FILTER (WHERE j.status = 'skipped')::integer AS skipped,
           min(coalesce(j.dial_started_at, j.started_at)) AS first_at,
           max(greatest(j.started_at, j.dial_started_at, j.completed_at)) AS last_at
    FROM part p LEFT JOIN public.outbound_call_jobs j ON j.run_id = p.id GROUP BY p.id
), judged AS MATERIALIZED (
    SELECT c.*, r.cancel_requested, r.status AS was, r.total_leads AS said, r.created_at,
           CASE WHEN r.status IN ('completed', 'failed', 'cancelled', 'stopped') THEN r.status
                WHEN r.status = 'running' AND n.at < greatest(coalesce(r.created_at, '-infinity'), c.last_at)
                    THEN 'running'
                WHEN r.cancel_requested AND c.in_progress = 0 THEN 'cancelled'
                WHEN r.status IN ('paused', 'pending') THEN r.status
                WHEN coalesce(nullif(r.status, ''), 'queued') = 'queued' AND c.total = c.queued + c.cancelled
                    THEN 'pending'
                ELSE 'paused' END AS status
    FROM counted c JOIN public.outbound_call_runs r ON r.id = c.id
    CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC') - interval '1 hour' AS at) n
), told AS (
    -- `ends`: its leads that are still queued count as cancelled.
    SELECT d.*, d.status IN ('running', 'pending') AND d.total < d.said
                AND d.created_at > (now() AT TIME ZONE 'UTC') - interval '1 minute' AS is_being_filled,
           d.cancel_requested AND d.status <> 'running'
                OR d.status IN ('completed', 'failed', 'cancelled', 'stopped') AND d.in_progress > 0 AS ends
    FROM judged d
), changed AS (
    UPDATE public.outbound_call_runs r
    SET status = t.status, total_leads = CASE WHEN t.is_being_filled THEN t.said ELSE t.total END,
        queued_count = CASE WHEN t.is_being_filled THEN r.queued_count WHEN t.ends THEN 0 ELSE t.queued END,
        in_progress_count = t.in_progress, completed_count = t.completed, failed_count = t.failed,
        cancelled_count = t.cancelled + CASE WHEN t.ends THEN t.queued ELSE 0 END, skipped_count = t.skipped,
        cursor_position = greatest(r.cursor_position, t.in_progress + t.completed + t.failed),
        concurrency = greatest(coalesce(r.concurrency, 3), 1), cancel_requested = r.cancel_requested OR t.ends,
        cancel_requested_at = CASE WHEN t.ends
                                   THEN coalesce(r.cancel_requested_at, r.updated_at, now() AT TIME ZONE 'UTC')
                                   ELSE r.cancel_requested_at END,
        rewrite_pending = t.ends AND t.queued > 0,
        started_at = CASE WHEN t.status IN ('pending', 'running') THEN r.started_at
                          WHEN t.status = 'paused'
                          THEN coalesce(r.started_at, t.first_at, r.created_at, now() AT TIME ZONE 'UTC')
                          ELSE coalesce(r.started_at, t.first_at) END,
        ended_at = CASE WHEN t.status IN ('completed', 'failed', 'cancelled', 'stopped')
                        THEN coalesce(r.ended_at, r.completed_at, t.last_at, r.updated_at) ELSE r.ended_at END,
        last_error = CASE WHEN t.status = 'paused' AND t.was IS DISTINCT FROM 'paused'
                          THEN 'The old application did not finish this run.' ELSE r.last_error END,
        last_error_cause = CASE WHEN t.status = 'paused' AND t.was IS DISTINCT FROM 'paused'
                                THEN '{"kind": "adopted"}'::jsonb ELSE r.last_error_cause END
    FROM told t WHERE r.id = t.id
    RETURNING r.id
)
SELECT max(p.id) FROM part p
