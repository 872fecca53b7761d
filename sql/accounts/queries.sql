-- name: of
SELECT dialer.stored_accounts($1::integer)

-- name: keep
SELECT dialer.keep_account_v1($1::integer, $2::text, 'auth_token', $3::text, NULL)

-- name: after
SELECT id, business_id, sealed FROM dialer.provider_accounts WHERE id > $1 ORDER BY id LIMIT $2

-- name: renew
UPDATE dialer.provider_accounts SET sealed = $4 WHERE business_id = $1 AND id = $2 AND sealed = $3
