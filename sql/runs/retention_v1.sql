-- Delete runs that are older than their business wants to keep them (`retention_days`).

-- Delete a part of a run: at most p_limit leads with everything about them, and with the last ones the run itself.
-- Returns how many leads were deleted; locked rows are left for a later call.
CREATE OR REPLACE FUNCTION dialer.delete_run_v1(p_business_id integer, p_run_id integer, p_limit integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    jobs bigint[];
    -- Attempts are found by their numbers.
    phones text[];
BEGIN
    jobs := ARRAY(SELECT j.id FROM public.outbound_call_jobs j
                  WHERE j.run_id = p_run_id AND j.business_id = p_business_id
                  ORDER BY j.position LIMIT p_limit FOR UPDATE SKIP LOCKED);
    phones := ARRAY(SELECT DISTINCT j.phone FROM public.outbound_call_jobs j
                    WHERE j.id = ANY (jobs) AND j.business_id = p_business_id);
    -- A recording that is being stored holds its attempt: the statement after this one sees it.
    PERFORM FROM dialer.attempts a
    WHERE a.job_id = ANY (jobs) AND a.business_id = p_business_id AND a.phone = ANY (phones) FOR UPDATE;
    WITH attempt AS (
        DELETE FROM dialer.attempts a
        WHERE a.job_id = ANY (jobs) AND a.business_id = p_business_id AND a.phone = ANY (phones)
        RETURNING a.id, a.sid
    ), callback AS (
        DELETE FROM dialer.callbacks c USING attempt a WHERE c.attempt_id = a.id AND c.business_id = p_business_id
    ), recording AS (
        DELETE FROM dialer.recordings r USING attempt a WHERE r.attempt_id = a.id AND r.business_id = p_business_id
    ), second AS (
        DELETE FROM dialer.call_sids s USING attempt a
        WHERE s.attempt_id = a.id AND s.excess AND s.business_id = p_business_id AND s.sid IS DISTINCT FROM a.sid
    )
    DELETE FROM dialer.call_sids s USING attempt a WHERE s.sid = a.sid AND s.business_id = p_business_id;
    DELETE FROM dialer.refusals f WHERE f.job_id = ANY (jobs) AND f.business_id = p_business_id;
    WITH deleted AS (
        DELETE FROM public.outbound_call_jobs j WHERE j.id = ANY (jobs) AND j.business_id = p_business_id
        RETURNING j.position
    )
    DELETE FROM dialer.lead_variables v USING deleted d
    WHERE v.run_id = p_run_id AND v.position = d.position AND v.business_id = p_business_id;
    IF NOT EXISTS (SELECT FROM public.outbound_call_jobs j WHERE j.run_id = p_run_id) THEN
        -- Those of leads that another program deleted.
        DELETE FROM dialer.lead_variables v WHERE v.run_id = p_run_id AND v.business_id = p_business_id;
        DELETE FROM dialer.reported_rows x WHERE x.run_id = p_run_id AND x.business_id = p_business_id;
        DELETE FROM dialer.loads l WHERE l.run_id = p_run_id AND l.business_id = p_business_id;
        DELETE FROM dialer.run_zones z WHERE z.run_id = p_run_id AND z.business_id = p_business_id;
        DELETE FROM public.outbound_call_runs r WHERE r.id = p_run_id AND r.business_id = p_business_id;
    END IF;
    RETURN cardinality(jobs);
END
$$;

-- For how long the calls of a business are needed to decide about later ones: the longest gap, and the day.
CREATE OR REPLACE FUNCTION dialer.history_needed(p_business_id integer, min_gap_hours double precision) RETURNS interval
LANGUAGE sql STABLE AS $$
    SELECT greatest(interval '2 days', make_interval(secs => 3600 * greatest(min_gap_hours, (
        SELECT max((r.settings ->> 'min_gap_hours')::float8) FROM public.outbound_call_runs r
        WHERE r.business_id = p_business_id AND r.status IN ('pending', 'running', 'paused')))))
$$;
