-- Calls that people make to hear a script, outside of any run.

-- Note a test call that is about to be placed. Holds the lane, as the claim does: dialling that is stopped, and a
-- number that is refused, before this commits are seen. Returns its id and nonce, or a code: stopped, do_not_call, or
-- in_progress while the last test call of the business may not be over. A repeated request gets `repeated` with the
-- call that it made, or id_reused when it asks for another one.
CREATE OR REPLACE FUNCTION dialer.request_test_call_v1(
    p_business_id integer, p_phone text, p_from_number text, p_account_sid text, p_call jsonb, p_actor text, p_id text)
RETURNS TABLE (code text, test_call_id bigint, nonce uuid, status text)
LANGUAGE plpgsql AS $$
DECLARE
    -- A call rings for so long at most, and a person listens to a script.
    patience CONSTANT interval := '2 minutes';
    made dialer.test_calls;
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    SELECT * INTO made FROM dialer.test_calls c WHERE c.business_id = p_business_id AND c.request_id = p_id;
    code := CASE
        WHEN made.phone = p_phone AND made.call = p_call THEN 'repeated'
        WHEN made.id IS NOT NULL THEN 'id_reused'
        WHEN EXISTS (SELECT FROM dialer.businesses b WHERE b.business_id = p_business_id AND b.stopped_at IS NOT NULL)
            OR EXISTS (SELECT FROM dialer.installation i WHERE i.stopped_at IS NOT NULL) THEN 'stopped'
        WHEN EXISTS (SELECT FROM dialer.do_not_call d
                     LEFT JOIN dialer.registers g ON g.register_id = d.register_id AND g.business_id = d.business_id
                     WHERE d.business_id = p_business_id AND d.phone = p_phone
                       AND (d.register_id = 0 OR g.current)) THEN 'do_not_call'
        WHEN EXISTS (SELECT FROM dialer.test_calls c
                     WHERE c.business_id = p_business_id AND c.ended_at IS NULL
                       AND c.created_at > now() - patience) THEN 'in_progress' END;
    IF code IS NULL THEN
        INSERT INTO dialer.test_calls (business_id, phone, from_number, account_sid, call, request_id)
        VALUES (p_business_id, p_phone, p_from_number, p_account_sid, p_call, p_id) RETURNING * INTO made;
        INSERT INTO dialer.audit_log (business_id, actor, action, detail)
        VALUES (p_business_id, p_actor, 'test_call', jsonb_build_object('test_call_id', made.id));
    END IF;
    RETURN QUERY SELECT code, made.id, made.nonce, made.status;
END
$$;
