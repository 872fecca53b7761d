-- in parts, of runs
-- The same lead twice in a run: the row of a real call stays, whatever its id; the others into the archive. Rows
-- without a lead are orphans, and no duplicates of each other.
WITH part AS MATERIALIZED (
    SELECT r.id, r.business_id FROM public.outbound_call_runs r WHERE r.id > $1 ORDER BY r.id LIMIT $2
), ranked AS (
    SELECT j.id, p.business_id, row_number() OVER (
               PARTITION BY j.run_id, j.lead_id
               ORDER BY coalesce(nullif(j.twilio_call_sid, ''), nullif(j.call_sid, '')) IS NULL,
                        CASE WHEN j.status = 'completed' THEN 1 WHEN j.status = 'failed' THEN 2
                             WHEN j.status = 'calling' THEN 3
                             WHEN coalesce(j.status, '') IN ('', 'queued', 'cancelled') THEN 5 ELSE 4 END,
                        j.call_log_id IS NULL, nullif(j.dial_lock_token, '') IS NULL, j.dial_started_at IS NULL,
                        -- What a person has cancelled is not called after all.
                        coalesce(j.status, '') <> 'cancelled', j.id) AS nth
    FROM part p JOIN public.outbound_call_jobs j ON j.run_id = p.id
    WHERE j.lead_id IS NOT NULL
), removed AS (
    DELETE FROM public.outbound_call_jobs j USING ranked d WHERE j.id = d.id AND d.nth > 1
    RETURNING d.business_id, j.id, to_jsonb(j) AS row
), kept AS (
    INSERT INTO dialer.legacy_archive (business_id, table_name, row_id, reason, row)
    SELECT m.business_id, 'outbound_call_jobs', m.id, 'the same lead twice in a run', m.row FROM removed m ORDER BY m.id
)
SELECT max(p.id) FROM part p
