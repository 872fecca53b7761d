-- name: command
SELECT dialer.command_v1($1::integer, $2::text, $3::bytea, $4::text, $5::integer, $6::bigint, $7::boolean, $8::text, make_interval(secs => $9::float8))

-- name: remember
UPDATE dialer.inbox SET answer = answer || jsonb_build_object('shown', $3::jsonb) WHERE business_id = $1 AND id = $2

-- name: position
SELECT entry FROM dialer.positions WHERE stream = 'dialer:commands'

-- name: receive
SELECT dialer.receive_v1($1::text, $2::text, $3::jsonb)

-- name: waiting
SELECT i.business_id FROM dialer.inbox i WHERE i.applied_at IS NULL GROUP BY i.business_id ORDER BY min(i.seq) LIMIT $1

-- name: apply_received
SELECT * FROM dialer.apply_received_v1($1::integer, $2::integer)

-- name: forget
SELECT dialer.forget_v1($1::integer)
