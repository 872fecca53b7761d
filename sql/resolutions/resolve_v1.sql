-- Resolve the newest attempt of a job as a person states it: over (any open attempt), or never placed (one whose call
-- has no sid, or whose sid the provider does not know). Received, decided, audited and answered in one call, so that a
-- repeated request gets the same answer. Codes of refusals: id_reused, not_found, invalid_state; busy (a row is locked,
-- nothing is kept: ask again).
CREATE OR REPLACE FUNCTION dialer.resolve_v1(
    p_business_id integer, p_id text, p_digest bytea, p_run_id integer, p_job_id bigint, p_resolution text,
    p_requested_by text, p_keep interval)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    attempt dialer.attempts;
    about jsonb;
    recorded record;
    found jsonb;
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, 'job.resolve', p_run_id, p_job_id,
                                                      p_requested_by, p_keep);
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    SELECT a.* INTO attempt FROM public.outbound_call_jobs j
    JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = j.business_id
    WHERE j.id = p_job_id AND j.run_id = p_run_id AND j.business_id = p_business_id;
    IF attempt.id IS NULL AND NOT EXISTS (
            SELECT FROM public.outbound_call_jobs j
            WHERE j.id = p_job_id AND j.run_id = p_run_id AND j.business_id = p_business_id) THEN
        found := jsonb_build_object('code', 'not_found');
    ELSIF attempt.id IS NULL OR NOT dialer.is_open(attempt.state) THEN
        found := jsonb_build_object('code', 'invalid_state');
    ELSE
        about := jsonb_build_object('business_id', p_business_id, 'attempt_id', attempt.id, 'nonce', attempt.nonce,
                                    'by_person', TRUE);
        IF attempt.state = 'placing' AND p_resolution = 'not_placed' THEN
            -- Its worker may be sending it now; a person may resolve it as never placed only after its send_by.
            PERFORM dialer.record_v1(jsonb_build_array(about || jsonb_build_object('state', 'unknown')));
        END IF;
        SELECT l.* INTO recorded FROM dialer.record_v1(jsonb_build_array(about || jsonb_build_object(
            'state', p_resolution, 'outcome', CASE p_resolution WHEN 'over' THEN 'failed' END, 'reason',
            'resolved as ' || p_resolution || ' by ' || p_requested_by))) l;
        IF recorded.verdict = 'busy' THEN
            PERFORM dialer.forget_request_v1(p_business_id, p_id);
            RETURN jsonb_build_object('code', 'busy');
        END IF;
        IF recorded.verdict = 'applied' THEN
            INSERT INTO dialer.audit_log (business_id, actor, action, run_id, job_id, detail)
            VALUES (p_business_id, p_requested_by, 'job.resolve', p_run_id, p_job_id,
                    jsonb_build_object('as', p_resolution, 'attempt_id', attempt.id, 'command_id', p_id));
        END IF;
        SELECT jsonb_build_object('code', CASE recorded.verdict WHEN 'applied' THEN '' ELSE 'invalid_state' END,
                                  'run_id', p_run_id, 'job_id', j.id,
                                  'status', j.status, 'outcome', j.outcome, 'in_progress',
                                  (j.status IN ('dialing', 'calling'))::int,
                                  'attempt_id', attempt.id, 'attempt_state', recorded.state, 'partition',
                                  recorded.partition)
        INTO found FROM public.outbound_call_jobs j WHERE j.id = p_job_id AND j.business_id = p_business_id;
    END IF;
    RETURN dialer.answer_request_v1(p_business_id, p_id, found);
END
$$;
