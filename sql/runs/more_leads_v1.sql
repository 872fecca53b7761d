-- Leads that are added to a run, and leads of a run that are called again.

-- The key of the advisory locks that make additions to one run follow each other.
CREATE OR REPLACE FUNCTION dialer.additions_lock() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 7417004 $$;

-- Count leads whose rows this transaction has added to a run, add their zones, and audit it. Locks lane and run only
-- now, because writing many rows takes seconds. NULL when the run has ended, is being cancelled, or is
-- still being filled by an operation: the caller rolls back.
CREATE OR REPLACE FUNCTION dialer.count_addition_v1(
    p_business_id integer, p_run_id integer, p_count integer, p_zones text[], p_first integer[], p_last integer[],
    p_actor text)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    lane dialer.lanes;
    run public.outbound_call_runs;
BEGIN
    SELECT * INTO lane FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    SELECT * INTO run FROM public.outbound_call_runs r
    WHERE r.id = p_run_id AND r.business_id = p_business_id FOR NO KEY UPDATE;
    IF run.status NOT IN ('pending', 'running', 'paused') OR run.cancel_requested
        OR dialer.is_being_filled(p_business_id, p_run_id) THEN
        RETURN NULL;
    END IF;
    UPDATE public.outbound_call_runs r
    SET total_leads = r.total_leads + p_count, queued_count = r.queued_count + p_count, updated_at = dialer.utc()
    WHERE r.id = p_run_id AND r.business_id = p_business_id;
    PERFORM dialer.add_zones_v1(p_business_id, p_run_id, p_zones, p_first, p_last);
    INSERT INTO dialer.audit_log (business_id, actor, action, run_id, detail)
    VALUES (p_business_id, p_actor, 'run.add', p_run_id, jsonb_build_object('leads', p_count));
    RETURN jsonb_build_object('status', run.status, 'total_leads', run.total_leads + p_count, 'partition',
                              lane.partition);
END
$$;

-- Copy the leads of one run whose last call ended in one of these outcomes into a new run, which has none yet; return
-- how many. A lead that is still to be called there is not copied.
CREATE OR REPLACE FUNCTION dialer.copy_leads_v1(p_business_id integer, p_from integer, p_to integer, p_outcomes text[])
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    chosen CONSTANT bigint[] := ARRAY(
        SELECT j.id FROM public.outbound_call_jobs j
        JOIN public.outbound_call_runs r ON r.id = j.run_id AND r.business_id = j.business_id
        WHERE j.business_id = p_business_id AND j.run_id = p_from AND j.outcome = ANY (p_outcomes)
          AND dialer.job_status(j.status, r.cancel_requested) IN ('completed', 'failed', 'cancelled'));
    copied CONSTANT integer := dialer.copy_jobs_v1(p_business_id, p_from, chosen, p_to, 0);
BEGIN
    UPDATE public.outbound_call_runs r SET total_leads = copied, queued_count = copied
    WHERE r.id = p_to AND r.business_id = p_business_id;
    RETURN copied;
END
$$;
