-- in parts
-- The business of each job, its place in the run, and its status as a word of ours. Nothing is left queued in a run
-- that has ended. The values are those of the locked row: the old application may be writing it.
WITH part AS MATERIALIZED (
    SELECT j.id, j.run_id FROM public.outbound_call_jobs j WHERE j.id > $1 ORDER BY j.id LIMIT $2
), filled AS (
    UPDATE public.outbound_call_jobs j
    SET business_id = r.business_id,
        status = CASE WHEN r.status IN ('completed', 'failed', 'cancelled', 'stopped')
                           AND dialer.status_of_old_job(j) = 'queued' THEN 'cancelled'
                      ELSE dialer.status_of_old_job(j) END,
        position = coalesce(j.position, dialer.unread_position(j.id)),
        completed_at = CASE WHEN r.status IN ('completed', 'failed', 'cancelled', 'stopped')
                                 AND dialer.status_of_old_job(j) = 'queued'
                            THEN coalesce(j.completed_at, r.completed_at, r.updated_at) ELSE j.completed_at END
    FROM part p JOIN public.outbound_call_runs r ON r.id = p.run_id
    WHERE j.id = p.id
      AND (j.business_id IS DISTINCT FROM r.business_id OR j.position IS NULL
           OR j.status IS DISTINCT FROM dialer.status_of_old_job(j)
           OR j.status = 'queued' AND r.status IN ('completed', 'failed', 'cancelled', 'stopped'))
    RETURNING j.id
)
SELECT max(p.id) FROM part p
