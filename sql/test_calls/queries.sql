-- name: request
SELECT (x.r).code, (x.r).test_call_id, (x.r).nonce, (x.r).status
-- A function that returns rows would not wait for the setting beside it.
FROM (SELECT dialer.request_test_call_v1($1::integer, $2::text, $3::text, $4::text, $5::jsonb, $6::text, $7::text) AS r
      FROM set_config('dialer.address', $8, TRUE)) x

-- name: find
SELECT c.account_sid, c.from_number, c.phone, c.call,
       ARRAY(SELECT p.sealed FROM dialer.provider_accounts p
             WHERE p.business_id = c.business_id AND p.account_sid = c.account_sid ORDER BY p.id DESC) AS sealed
FROM dialer.test_calls c WHERE c.business_id = $1 AND c.id = $2 AND c.nonce = $3::uuid

-- name: note
UPDATE dialer.test_calls SET status = $3, ended_at = CASE WHEN $4::boolean THEN coalesce(ended_at, now()) END
WHERE business_id = $1 AND id = $2 AND ended_at IS NULL
