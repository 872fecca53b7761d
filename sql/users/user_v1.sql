-- Users of a business, or with business 0 of the installation. Each change is received, decided, audited and answered
-- in one call.

-- A user as answers and requests show it.
CREATE OR REPLACE FUNCTION dialer.user_of_v1(u dialer.users) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('user_id', u.user_id, 'business_id', u.business_id, 'email', u.email, 'role', u.role,
                              'created_at', u.created_at, 'disabled', u.disabled_at IS NOT NULL,
                              'has_password', u.password_hash <> '', 'link_expires_at', u.link_expires_at)
$$;

-- End the sessions of a user, but the one to be kept (NULL: none).
CREATE OR REPLACE FUNCTION dialer.end_sessions_v1(p_business_id integer, p_user_id integer, p_kept bigint)
RETURNS void
LANGUAGE sql AS $$
    UPDATE dialer.sessions s SET ended_at = now()
    WHERE s.business_id = p_business_id AND s.user_id = p_user_id AND s.ended_at IS NULL
      AND s.id IS DISTINCT FROM p_kept
$$;

-- Add a user, with a password, or with a link that sets one. Codes of refusals: id_reused, email_taken, no_business.
CREATE OR REPLACE FUNCTION dialer.create_user_v1(
    p_business_id integer, p_id text, p_digest bytea, p_requested_by text, p_keep interval, p_email text, p_role text,
    p_password_hash text, p_link_hash bytea, p_link interval, p_sealed text)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    person dialer.users;
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, 'user.create', NULL, NULL,
                                                      p_requested_by, p_keep);
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    IF p_business_id <> 0 AND NOT EXISTS (SELECT FROM dialer.businesses b WHERE b.business_id = p_business_id) THEN
        PERFORM dialer.forget_request_v1(p_business_id, p_id);
        RETURN jsonb_build_object('code', 'no_business');
    END IF;
    INSERT INTO dialer.users (business_id, email, role, password_hash, link_hash, link_expires_at)
    VALUES (p_business_id, p_email, p_role, p_password_hash, p_link_hash, now() + p_link)
    ON CONFLICT (lower(email)) WHERE deleted_at IS NULL DO NOTHING
    RETURNING * INTO person;
    IF NOT FOUND THEN
        PERFORM dialer.forget_request_v1(p_business_id, p_id);
        RETURN jsonb_build_object('code', 'email_taken');
    END IF;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'user.create',
            jsonb_build_object('user_id', person.user_id, 'email', p_email, 'role', p_role));
    RETURN dialer.answer_request_v1(p_business_id, p_id, jsonb_build_object(
        'code', '', 'user', dialer.user_of_v1(person), 'sealed', p_sealed));
END
$$;

-- Lock a user and all admins of the business, by id: of two admins that are demoted at once one stays. Returns whether
-- the business would have no admin without this user who can sign in.
CREATE OR REPLACE FUNCTION dialer.lock_user_v1(p_business_id integer, p_user_id integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    can_sign_in integer[];
BEGIN
    PERFORM FROM dialer.users u
    WHERE u.business_id = p_business_id AND u.deleted_at IS NULL AND (u.role = 'admin' OR u.user_id = p_user_id)
    ORDER BY u.user_id FOR NO KEY UPDATE;
    can_sign_in := ARRAY(
        SELECT u.user_id FROM dialer.users u
        WHERE u.business_id = p_business_id AND u.role = 'admin' AND u.deleted_at IS NULL AND u.disabled_at IS NULL
          AND (u.password_hash <> '' OR u.user_id = p_user_id));
    RETURN can_sign_in = ARRAY[p_user_id];
END
$$;

-- Give a user another role, or disable or enable it; NULL leaves it. Codes of refusals: not_found, last_admin.
CREATE OR REPLACE FUNCTION dialer.change_user_v1(
    p_business_id integer, p_user_id integer, p_role text, p_disabled boolean, p_requested_by text)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    is_last_admin CONSTANT boolean := dialer.lock_user_v1(p_business_id, p_user_id);
    person dialer.users;
    changes jsonb;
BEGIN
    SELECT * INTO person FROM dialer.users u
    WHERE u.business_id = p_business_id AND u.user_id = p_user_id AND u.deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('code', 'not_found');
    ELSIF is_last_admin AND (coalesce(p_disabled, FALSE) OR coalesce(p_role, 'admin') <> 'admin') THEN
        RETURN jsonb_build_object('code', 'last_admin');
    END IF;
    changes := jsonb_strip_nulls(jsonb_build_object(
        'role', nullif(p_role, person.role), 'disabled', nullif(p_disabled, person.disabled_at IS NOT NULL)));
    IF changes <> '{}' THEN
        UPDATE dialer.users u
        SET role = coalesce(p_role, u.role),
            disabled_at = CASE WHEN coalesce(p_disabled, u.disabled_at IS NOT NULL)
                               THEN coalesce(u.disabled_at, now()) END,
            link_hash = CASE WHEN coalesce(p_disabled, FALSE) THEN NULL ELSE u.link_hash END
        WHERE u.business_id = p_business_id AND u.user_id = p_user_id RETURNING * INTO person;
        IF p_disabled THEN
            PERFORM dialer.end_sessions_v1(p_business_id, p_user_id, NULL);
        END IF;
        INSERT INTO dialer.audit_log (business_id, actor, action, detail)
        VALUES (p_business_id, p_requested_by, 'user.change',
                jsonb_build_object('user_id', p_user_id, 'email', person.email) || changes);
    END IF;
    RETURN jsonb_build_object('code', '', 'user', dialer.user_of_v1(person));
END
$$;

-- Delete a user, whose sessions end. Returns the code: empty, not_found or last_admin.
CREATE OR REPLACE FUNCTION dialer.delete_user_v1(p_business_id integer, p_user_id integer, p_requested_by text)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    is_last_admin CONSTANT boolean := dialer.lock_user_v1(p_business_id, p_user_id);
    person dialer.users;
BEGIN
    SELECT * INTO person FROM dialer.users u
    WHERE u.business_id = p_business_id AND u.user_id = p_user_id AND u.deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF is_last_admin THEN
        RETURN 'last_admin';
    END IF;
    UPDATE dialer.users u SET deleted_at = now(), link_hash = NULL
    WHERE u.business_id = p_business_id AND u.user_id = p_user_id;
    PERFORM dialer.end_sessions_v1(p_business_id, p_user_id, NULL);
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'user.delete',
            jsonb_build_object('user_id', p_user_id, 'email', person.email));
    RETURN '';
END
$$;

-- Make a link with which a user sets a password once; it replaces the one before. Codes of refusals: id_reused,
-- not_found, disabled.
CREATE OR REPLACE FUNCTION dialer.link_user_v1(
    p_business_id integer, p_id text, p_digest bytea, p_requested_by text, p_keep interval, p_user_id integer,
    p_link_hash bytea, p_link interval, p_sealed text)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    person dialer.users;
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, 'user.reset', NULL, NULL,
                                                      p_requested_by, p_keep);
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    UPDATE dialer.users u SET link_hash = p_link_hash, link_expires_at = now() + p_link
    WHERE u.business_id = p_business_id AND u.user_id = p_user_id AND u.deleted_at IS NULL AND u.disabled_at IS NULL
    RETURNING * INTO person;
    IF NOT FOUND THEN
        PERFORM dialer.forget_request_v1(p_business_id, p_id);
        RETURN jsonb_build_object('code', CASE WHEN EXISTS (
            SELECT FROM dialer.users u WHERE u.business_id = p_business_id AND u.user_id = p_user_id
                                         AND u.deleted_at IS NULL) THEN 'disabled' ELSE 'not_found' END);
    END IF;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'user.reset',
            jsonb_build_object('user_id', p_user_id, 'email', person.email));
    RETURN dialer.answer_request_v1(p_business_id, p_id, jsonb_build_object(
        'code', '', 'user', dialer.user_of_v1(person), 'sealed', p_sealed));
END
$$;

-- Set the password of the user whose link this is. Returns the user, or NULL when the link is used, replaced or
-- expired.
CREATE OR REPLACE FUNCTION dialer.use_link_v1(p_business_id integer, p_link_hash bytea, p_password_hash text)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    person dialer.users;
BEGIN
    UPDATE dialer.users u SET password_hash = p_password_hash, link_hash = NULL
    WHERE u.business_id = p_business_id AND u.link_hash = p_link_hash AND u.link_expires_at > now()
      AND u.deleted_at IS NULL AND u.disabled_at IS NULL
    RETURNING * INTO person;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM dialer.end_sessions_v1(p_business_id, person.user_id, NULL);
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, 'user:' || person.user_id, 'user.password',
            jsonb_build_object('user_id', person.user_id, 'email', person.email, 'by', 'link'));
    RETURN dialer.user_of_v1(person);
END
$$;

-- Set the password of a user who knows the former one, and end the other sessions. Returns NULL, or the code id_reused.
CREATE OR REPLACE FUNCTION dialer.change_password_v1(
    p_business_id integer, p_id text, p_digest bytea, p_requested_by text, p_keep interval, p_user_id integer,
    p_password_hash text, p_kept bigint)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    person dialer.users;
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, 'user.password', NULL, NULL,
                                                      p_requested_by, p_keep);
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    UPDATE dialer.users u SET password_hash = p_password_hash, link_hash = NULL
    WHERE u.business_id = p_business_id AND u.user_id = p_user_id RETURNING * INTO person;
    PERFORM dialer.end_sessions_v1(p_business_id, p_user_id, p_kept);
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'user.password',
            jsonb_build_object('user_id', p_user_id, 'email', person.email));
    RETURN dialer.answer_request_v1(p_business_id, p_id, jsonb_build_object('code', ''));
END
$$;
