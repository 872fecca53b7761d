-- name: begin
WITH deleted AS (
    DELETE FROM dialer.sessions s
    WHERE s.business_id = $1 AND s.id IN (
        SELECT o.id FROM dialer.sessions o
        WHERE o.business_id = $1 AND o.user_id = $2 AND o.expires_at < now() - interval '30 days'
        ORDER BY o.id LIMIT 100 FOR UPDATE SKIP LOCKED)
), started AS (
    INSERT INTO dialer.sessions (business_id, user_id, expires_at, address, user_agent)
    VALUES ($1, $2, now() + make_interval(secs => $3::float8), $4, $5) RETURNING id, business_id, user_id, address
), audited AS (
    INSERT INTO dialer.audit_log (business_id, actor, action, detail, address)
    SELECT s.business_id, 'user:' || s.user_id, 'session.begin', jsonb_build_object('session_id', s.id), s.address
    FROM started s
)
SELECT id FROM started

-- name: user_of
WITH touched AS (
    -- Once a minute is exact enough; do not wait for a locked row.
    UPDATE dialer.sessions s SET last_seen_at = now()
    WHERE s.business_id = $1 AND s.id IN (
        SELECT o.id FROM dialer.sessions o
        WHERE o.business_id = $1 AND o.id = $2 AND o.ended_at IS NULL AND o.last_seen_at < now() - interval '1 minute'
        FOR NO KEY UPDATE SKIP LOCKED)
)
SELECT u.user_id, u.business_id, u.email, u.role, u.password_hash, FALSE AS disabled
FROM dialer.sessions s JOIN dialer.users u ON u.user_id = s.user_id AND u.business_id = s.business_id
WHERE s.business_id = $1 AND s.id = $2 AND s.user_id = $3 AND s.ended_at IS NULL AND s.expires_at > now()
  AND u.disabled_at IS NULL AND u.deleted_at IS NULL

-- name: end
WITH closed AS (
    UPDATE dialer.sessions s SET ended_at = now()
    WHERE s.business_id = $1 AND s.id = $2 AND s.ended_at IS NULL AND s.expires_at > now()
      AND ($3::integer IS NULL OR s.user_id = $3) RETURNING s.id, s.user_id
), audited AS (
    INSERT INTO dialer.audit_log (business_id, actor, action, detail, address)
    SELECT $1, $4, 'session.end',
           jsonb_build_object('session_id', c.id, 'user_id', c.user_id, 'email',
                              (SELECT u.email FROM dialer.users u WHERE u.business_id = $1 AND u.user_id = c.user_id)),
           $5
    FROM closed c
)
SELECT count(*) FROM closed

-- name: page
SELECT s.id AS session_id, s.user_id, u.email, s.created_at, s.last_seen_at, s.expires_at, s.address, s.user_agent
FROM dialer.sessions s JOIN dialer.users u ON u.user_id = s.user_id AND u.business_id = s.business_id
WHERE s.business_id = $1 AND ($2::integer IS NULL OR s.user_id = $2) AND s.ended_at IS NULL AND s.expires_at > now()
  AND ($3::bigint IS NULL OR s.id < $3)
ORDER BY s.id DESC LIMIT $4

-- name: page_before
SELECT s.id AS session_id FROM dialer.sessions s
WHERE s.business_id = $1 AND ($2::integer IS NULL OR s.user_id = $2) AND s.ended_at IS NULL AND s.expires_at > now()
  AND s.id >= $3
ORDER BY s.id LIMIT $4

-- name: foreign
SELECT s.business_id FROM dialer.sessions s WHERE s.business_id <> $1 AND s.id = $2
