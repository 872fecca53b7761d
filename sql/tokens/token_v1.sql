-- Keys of programs.

-- Add a key by the SHA-256 of its secret. Codes of refusals: id_reused, no_business.
CREATE OR REPLACE FUNCTION dialer.create_token_v1(
    p_business_id integer, p_id text, p_digest bytea, p_requested_by text, p_keep interval, p_name text, p_role text,
    p_hash bytea, p_sealed text)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    token dialer.tokens;
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, 'token.create', NULL, NULL,
                                                      p_requested_by, p_keep);
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    IF NOT EXISTS (SELECT FROM dialer.businesses b WHERE b.business_id = p_business_id) THEN
        PERFORM dialer.forget_request_v1(p_business_id, p_id);
        RETURN jsonb_build_object('code', 'no_business');
    END IF;
    INSERT INTO dialer.tokens (business_id, name, role, hash, created_by)
    VALUES (p_business_id, p_name, p_role, p_hash, left(p_requested_by, 255)) RETURNING * INTO token;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'token.create',
            jsonb_build_object('token_id', token.token_id, 'name', p_name, 'role', p_role));
    RETURN dialer.answer_request_v1(p_business_id, p_id, jsonb_build_object(
        'code', '', 'sealed', p_sealed, 'token', jsonb_build_object(
            'token_id', token.token_id, 'business_id', p_business_id, 'name', p_name, 'role', p_role,
            'created_at', token.created_at, 'created_by', token.created_by)));
END
$$;

-- Revoke a key. Returns whether there was one.
CREATE OR REPLACE FUNCTION dialer.revoke_token_v1(p_business_id integer, p_token_id integer, p_requested_by text)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    token dialer.tokens;
BEGIN
    UPDATE dialer.tokens t SET revoked_at = now()
    WHERE t.business_id = p_business_id AND t.token_id = p_token_id AND t.revoked_at IS NULL RETURNING * INTO token;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'token.revoke',
            jsonb_build_object('token_id', p_token_id, 'name', token.name, 'role', token.role));
    RETURN TRUE;
END
$$;
