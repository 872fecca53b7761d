-- name: insert
WITH business AS (
    INSERT INTO dialer.businesses (name, caller_ids, region, timezone, max_calls_limit, calling_hours, min_gap_hours,
                                   max_per_day)
    VALUES ($1, $2::jsonb, $3, $4, $5, $6::jsonb, $7, $8) RETURNING business_id
)
INSERT INTO dialer.lanes (business_id, partition, max_calls, cap, timeline)
SELECT business_id, dialer.partition_of(business_id), $5, $5, (SELECT max(h.id) FROM dialer.timelines h) FROM business
RETURNING business_id

-- name: get
SELECT b.business_id, b.name, dialer.numbers_of(b.caller_ids) AS caller_ids, b.region, b.timezone, b.account_sid,
       l.max_calls, l.partition, b.max_calls_limit, b.calling_hours, b.retries, b.min_gap_hours, b.max_per_day,
       b.allowed_countries, b.required_registers, b.retention_days, b.script, b.inbound_script, b.stopped_at,
       a.credentials AS account_credentials
FROM dialer.businesses b JOIN dialer.lanes l USING (business_id)
LEFT JOIN dialer.provider_accounts a ON a.business_id = b.business_id AND a.replaced_at IS NULL
WHERE b.business_id = $1

-- name: used_elsewhere
SELECT w.number FROM unnest($2::text[]) AS w (number)
WHERE EXISTS (SELECT FROM dialer.businesses b
              WHERE b.business_id <> $1
                AND b.caller_ids @> jsonb_build_array(jsonb_build_object('number', w.number)))

-- name: without_account
SELECT count(*) FROM dialer.businesses WHERE account_sid IS NULL

-- name: set_max_calls
SELECT dialer.set_max_calls_v1($1::integer, $2::integer)

-- name: change
SELECT dialer.change_business_v1($1::integer, $2::jsonb, $3::text, $4::text, $5::jsonb)

-- name: insert_user
INSERT INTO dialer.users (business_id, email, role, password_hash) VALUES ($1, $2, $3, $4) RETURNING user_id

-- name: user_by_email
SELECT user_id, business_id, email, role, password_hash FROM dialer.users WHERE lower(email) = lower($1)

-- name: user
SELECT user_id, business_id, email, role, password_hash FROM dialer.users WHERE business_id = $1 AND user_id = $2

-- name: insert_token
INSERT INTO dialer.tokens (business_id, role, hash) VALUES ($1, $2, $3) RETURNING token_id

-- name: token
SELECT token_id, business_id, role FROM dialer.tokens WHERE hash = $1 AND revoked_at IS NULL
