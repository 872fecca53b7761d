-- name: create
SELECT dialer.create_token_v1($1::integer, $2::text, $3::bytea, $4::text, make_interval(secs => $5::float8), $6::text,
                              $7::text, $8::bytea, $9::text)
FROM set_config('dialer.address', $10, TRUE)

-- name: revoke
SELECT dialer.revoke_token_v1($1::integer, $2::integer, $3::text) FROM set_config('dialer.address', $4, TRUE)

-- name: find
SELECT t.token_id, t.business_id, t.role, coalesce(t.last_used_at < now() - interval '1 minute', TRUE) AS is_stale
FROM dialer.tokens t WHERE t.hash = $1 AND t.revoked_at IS NULL

-- name: used
UPDATE dialer.tokens t SET last_used_at = now() FROM unnest($1::integer[], $2::integer[]) AS u (business_id, token_id)
WHERE t.business_id = u.business_id AND t.token_id = u.token_id
  AND (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute')

-- name: page
SELECT t.token_id, t.business_id, t.name, t.role, t.created_at, t.created_by, t.last_used_at FROM dialer.tokens t
WHERE t.business_id = $1 AND t.revoked_at IS NULL AND t.token_id > $2 ORDER BY t.token_id LIMIT $3

-- name: page_before
SELECT t.token_id FROM dialer.tokens t WHERE t.business_id = $1 AND t.revoked_at IS NULL AND t.token_id <= $2
ORDER BY t.token_id DESC LIMIT $3

-- name: names
SELECT t.token_id AS id, t.name FROM dialer.tokens t WHERE t.business_id = $1 AND t.token_id = ANY ($2::integer[])

-- name: foreign
SELECT t.business_id FROM dialer.tokens t WHERE t.business_id <> $1 AND t.token_id = $2
