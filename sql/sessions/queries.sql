-- name: begin
WITH deleted AS (
    DELETE FROM dialer.sessions s
    WHERE s.business_id = $1 AND s.id IN (
        SELECT o.id FROM dialer.sessions o
        WHERE o.business_id = $1 AND o.user_id = $2 AND o.expires_at < now() - interval '30 days'
        ORDER BY o.id LIMIT 100 FOR UPDATE SKIP LOCKED)
)
INSERT INTO dialer.sessions (business_id, user_id, expires_at, address, user_agent)
VALUES ($1, $2, now() + make_interval(secs => $3::float8), $4, $5) RETURNING id

-- name: user_of
WITH touched AS (
    -- Once a minute is exact enough; do not wait for a locked row.
    UPDATE dialer.sessions s SET last_seen_at = now()
    WHERE s.business_id = $1 AND s.id IN (
        SELECT o.id FROM dialer.sessions o
        WHERE o.business_id = $1 AND o.id = $2 AND o.ended_at IS NULL AND o.last_seen_at < now() - interval '1 minute'
        FOR NO KEY UPDATE SKIP LOCKED)
)
SELECT u.user_id, u.business_id, u.email, u.role, u.password_hash
FROM dialer.sessions s JOIN dialer.users u ON u.user_id = s.user_id AND u.business_id = s.business_id
WHERE s.business_id = $1 AND s.id = $2 AND s.user_id = $3 AND s.ended_at IS NULL AND s.expires_at > now()

-- name: end
UPDATE dialer.sessions SET ended_at = now() WHERE business_id = $1 AND id = $2 AND ended_at IS NULL
