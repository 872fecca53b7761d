-- The do-not-call list of a business: its own (register 0), and official registers. What changes the numbers in force
-- locks the lane first, as a claim does: a claim in progress ends before, and every later one sees the change.

-- Add some numbers to the list of the business. `p_audit_id` is NULL for the first part of a request; returns how many
-- were added, and the row of the audit log, for the further parts.
CREATE OR REPLACE FUNCTION dialer.add_do_not_call_v1(
    p_business_id integer, p_phones text[], p_reasons text[], p_requested_by text, p_detail jsonb, p_audit_id bigint)
RETURNS TABLE (added integer, audit_id bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    inserted integer;
    entry bigint;
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    INSERT INTO dialer.do_not_call (business_id, phone, reason, added_by)
    SELECT p_business_id, t.phone, t.reason, p_requested_by
    FROM unnest(p_phones, p_reasons) AS t (phone, reason) ORDER BY t.phone
    ON CONFLICT (business_id, phone, register_id) DO NOTHING;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    IF p_audit_id IS NULL THEN
        INSERT INTO dialer.audit_log (business_id, actor, action, detail)
        VALUES (p_business_id, p_requested_by, 'do_not_call.add', p_detail || jsonb_build_object('added', inserted))
        RETURNING id INTO entry;
    ELSE
        UPDATE dialer.audit_log a
        SET detail = jsonb_set(a.detail, '{added}', to_jsonb((a.detail ->> 'added')::integer + inserted))
        WHERE a.business_id = p_business_id AND a.id = p_audit_id;
        entry := p_audit_id;
    END IF;
    RETURN QUERY SELECT inserted, entry;
END
$$;

-- Add the number of a person who asked for it during a call, by `p_reason`; noted in the audit log if it is new.
CREATE OR REPLACE FUNCTION dialer.refuse_number_v1(p_business_id integer, p_phone text, p_reason text, p_detail jsonb)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    INSERT INTO dialer.do_not_call (business_id, phone, reason, added_by)
    VALUES (p_business_id, p_phone, p_reason, p_reason)
    ON CONFLICT (business_id, phone, register_id) DO NOTHING;
    IF FOUND THEN
        INSERT INTO dialer.audit_log (business_id, actor, action, detail)
        VALUES (p_business_id, p_reason, 'do_not_call.add', p_detail || jsonb_build_object('added', 1));
    END IF;
END
$$;

-- Take numbers off the list of the business. Nothing is removed while one of them is on a register: `on_register`.
CREATE OR REPLACE FUNCTION dialer.remove_do_not_call_v1(p_business_id integer, p_phones text[], p_requested_by text)
RETURNS TABLE (removed text[], on_register jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    registered jsonb;
    gone text[];
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    SELECT jsonb_agg(jsonb_build_object('phone', d.phone, 'register', g.name) ORDER BY d.phone, g.name) INTO registered
    FROM dialer.registers g JOIN dialer.do_not_call d ON d.register_id = g.register_id AND d.business_id = g.business_id
    WHERE g.business_id = p_business_id AND g.current AND d.phone = ANY (p_phones);
    IF registered IS NULL THEN
        WITH deleted AS (
            DELETE FROM dialer.do_not_call d
            WHERE d.business_id = p_business_id AND d.register_id = 0 AND d.phone = ANY (p_phones)
            RETURNING d.phone
        )
        SELECT array_agg(x.phone ORDER BY x.phone) INTO gone FROM deleted x;
    END IF;
    IF gone IS NOT NULL THEN
        INSERT INTO dialer.audit_log (business_id, actor, action, detail)
        VALUES (p_business_id, p_requested_by, 'do_not_call.remove', jsonb_build_object('phones', gone));
    END IF;
    RETURN QUERY SELECT coalesce(gone, '{}'), coalesce(registered, '[]');
END
$$;

-- Let a loaded register take the place of the one with its name; its numbers are in force from then on. Returns FALSE
-- when it must not: a later import has, or it has taken a day, after which it may have been deleted.
CREATE OR REPLACE FUNCTION dialer.replace_register_v1(
    p_business_id integer, p_register_id integer, p_numbers integer, p_requested_by text, p_detail jsonb)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    loaded dialer.registers;
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    SELECT * INTO loaded FROM dialer.registers g
    WHERE g.business_id = p_business_id AND g.register_id = p_register_id AND g.imported_at > now() - interval '1 day'
        FOR UPDATE;
    IF NOT FOUND OR dialer.has_later_register(p_business_id, loaded) THEN
        RETURN FALSE;
    END IF;
    UPDATE dialer.registers g SET current = FALSE
    WHERE g.business_id = p_business_id AND g.name = loaded.name AND g.current;
    UPDATE dialer.registers g SET current = TRUE, imported_at = now(), numbers = p_numbers
    WHERE g.business_id = p_business_id AND g.register_id = p_register_id;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'do_not_call.replace_register',
            p_detail || jsonb_build_object('register', loaded.name, 'numbers', p_numbers));
    RETURN TRUE;
END
$$;

CREATE OR REPLACE FUNCTION dialer.has_later_register(p_business_id integer, loaded dialer.registers) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM dialer.registers g
                   WHERE g.business_id = p_business_id AND g.name = loaded.name AND g.current
                     AND g.register_id > loaded.register_id)
$$;

-- Delete the numbers of one replaced or abandoned register, at most p_limit. Returns how many were deleted: p_limit
-- means that there is more to delete.
CREATE OR REPLACE FUNCTION dialer.forget_register_v1(p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    old dialer.registers;
    deleted integer;
BEGIN
    SELECT * INTO old FROM dialer.registers g
    WHERE NOT g.current
      AND (g.imported_at < now() - interval '1 day' OR dialer.has_later_register(g.business_id, g))
    ORDER BY g.register_id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM dialer.do_not_call d USING (
        SELECT x.phone FROM dialer.do_not_call x
        WHERE x.business_id = old.business_id AND x.register_id = old.register_id ORDER BY x.phone LIMIT p_limit) n
    WHERE d.business_id = old.business_id AND d.register_id = old.register_id AND d.phone = n.phone;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted < p_limit THEN
        DELETE FROM dialer.registers g WHERE g.business_id = old.business_id AND g.register_id = old.register_id;
    END IF;
    RETURN deleted;
END
$$;
