-- Start a pending run at its time (epoch seconds): the command run.start, by the scheduler. Rejected as busy while
-- another session holds the lane or the run, and as invalid_state when the run is no longer pending or due, or its
-- time has been changed: what was read of it earlier does not start it. A rejection is not stored, since the time may
-- be set back.
CREATE OR REPLACE FUNCTION dialer.start_due_v1(
    p_business_id integer, p_id text, p_digest bytea, p_run_id integer, p_at bigint, p_requested_by text,
    p_keep interval)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    run public.outbound_call_runs;
BEGIN
    -- The lane first, as every start does.
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('accepted', FALSE, 'code', 'busy');
    END IF;
    SELECT * INTO run FROM public.outbound_call_runs r
    WHERE r.id = p_run_id AND r.business_id = p_business_id FOR NO KEY UPDATE SKIP LOCKED;
    IF run.id IS NULL THEN
        RETURN jsonb_build_object('accepted', FALSE, 'code', CASE WHEN EXISTS (
            SELECT FROM public.outbound_call_runs r WHERE r.id = p_run_id AND r.business_id = p_business_id)
            THEN 'busy' ELSE 'not_found' END);
    ELSIF run.status = 'pending' AND floor(extract(epoch FROM run.schedule_at))::bigint = p_at
        AND run.schedule_at <= clock_timestamp() AT TIME ZONE 'UTC' THEN
        RETURN dialer.command_v1(p_business_id, p_id, p_digest, 'run.start', p_run_id, NULL, FALSE, p_requested_by,
                                 p_keep);
    END IF;
    RETURN jsonb_build_object('accepted', FALSE, 'code', 'invalid_state');
END
$$;
