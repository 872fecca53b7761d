-- name: create
SELECT dialer.create_user_v1($1::integer, $2::text, $3::bytea, $4::text, make_interval(secs => $5::float8), $6::text,
                             $7::text, $8::text, $9::bytea, make_interval(secs => $10::float8), $11::text)
FROM set_config('dialer.address', $12, TRUE)

-- name: change
SELECT dialer.change_user_v1($1::integer, $2::integer, $3::text, $4::boolean, $5::text)
FROM set_config('dialer.address', $6, TRUE)

-- name: delete
SELECT dialer.delete_user_v1($1::integer, $2::integer, $3::text) FROM set_config('dialer.address', $4, TRUE)

-- name: link
SELECT dialer.link_user_v1($1::integer, $2::text, $3::bytea, $4::text, make_interval(secs => $5::float8), $6::integer,
                           $7::bytea, make_interval(secs => $8::float8), $9::text)
FROM set_config('dialer.address', $10, TRUE)

-- name: use_link
SELECT dialer.use_link_v1($1::integer, $2::bytea, $3::text) FROM set_config('dialer.address', $4, TRUE)

-- name: change_password
SELECT dialer.change_password_v1($1::integer, $2::text, $3::bytea, $4::text, make_interval(secs => $5::float8),
                                 $6::integer, $7::text, $8::bigint)
FROM set_config('dialer.address', $9, TRUE)

-- name: by_email
SELECT u.user_id, u.business_id, u.email, u.role, u.password_hash, u.disabled_at IS NOT NULL AS disabled
FROM dialer.users u WHERE lower(u.email) = lower($1) AND u.deleted_at IS NULL

-- name: by_link
SELECT u.user_id, u.business_id, u.email, u.role, u.password_hash, FALSE AS disabled
FROM dialer.users u
WHERE u.link_hash = $1 AND u.link_expires_at > now() AND u.deleted_at IS NULL AND u.disabled_at IS NULL

-- name: get
SELECT u.user_id, u.business_id, u.email, u.role, u.password_hash, u.disabled_at IS NOT NULL AS disabled
FROM dialer.users u WHERE u.business_id = $1 AND u.user_id = $2 AND u.deleted_at IS NULL

-- name: page
SELECT u.user_id, u.business_id, u.email, u.role, u.created_at, u.disabled_at IS NOT NULL AS disabled,
       u.password_hash <> '' AS has_password,
       CASE WHEN u.link_hash IS NOT NULL AND u.link_expires_at > now() THEN u.link_expires_at END AS link_expires_at,
       (SELECT max(s.last_seen_at) FROM dialer.sessions s
        WHERE s.business_id = u.business_id AND s.user_id = u.user_id) AS last_seen_at
FROM dialer.users u WHERE u.business_id = $1 AND u.deleted_at IS NULL AND u.user_id > $2
ORDER BY u.user_id LIMIT $3

-- name: page_before
SELECT u.user_id FROM dialer.users u WHERE u.business_id = $1 AND u.deleted_at IS NULL AND u.user_id <= $2
ORDER BY u.user_id DESC LIMIT $3

-- name: emails
SELECT u.user_id AS id, u.email AS name FROM dialer.users u
WHERE u.business_id = $1 AND u.user_id = ANY ($2::integer[])

-- name: foreign
SELECT u.business_id FROM dialer.users u WHERE u.business_id <> $1 AND u.user_id = $2
