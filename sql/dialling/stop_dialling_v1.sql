-- Stop all dialling of a business, or resume it. The lane is locked first, as a claim does: a claim in progress ends
-- before, and every later one finds the business stopped. Runs keep their state. Received, decided, audited and
-- answered in one call, so that a repeated request gets the same answer; the code of a refusal is id_reused.
CREATE OR REPLACE FUNCTION dialer.stop_dialling_v1(
    p_business_id integer, p_id text, p_digest bytea, p_type text, p_reason text, p_requested_by text, p_keep interval)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    lane dialer.lanes;
    business dialer.businesses;
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, p_type, NULL, NULL,
                                                      p_requested_by, p_keep);
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    SELECT * INTO lane FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    UPDATE dialer.businesses b
    -- A second stop has a new reason, and the time of the first.
    SET stopped_at = CASE p_type WHEN 'business.stop' THEN coalesce(b.stopped_at, now()) END,
        stopped_by = CASE p_type WHEN 'business.stop' THEN left(p_requested_by, 255) END,
        stop_reason = CASE p_type WHEN 'business.stop' THEN p_reason END
    WHERE b.business_id = p_business_id
    RETURNING * INTO business;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, p_type,
            jsonb_strip_nulls(jsonb_build_object('command_id', p_id, 'reason', p_reason)));
    RETURN dialer.answer_request_v1(p_business_id, p_id, jsonb_build_object(
        'code', '', 'stopped', business.stopped_at IS NOT NULL, 'since', business.stopped_at,
        'reason', business.stop_reason, 'in_progress', cardinality(lane.inflight), 'partition', lane.partition,
        -- A run of the business, to tell its worker.
        'run_id', (SELECT min(r.id) FROM public.outbound_call_runs r
                   WHERE r.business_id = p_business_id AND r.status = 'running')));
END
$$;
