-- name: command
SELECT dialer.command_v1($1::integer, $2::text, $3::bytea, $4::text, $5::integer, $6::integer, $7::boolean, $8::text, make_interval(secs => $9::float8))

-- name: position
SELECT entry FROM dialer.positions WHERE stream = 'dialer:commands'

-- name: receive
SELECT dialer.receive_v1($1::text, $2::text, $3::jsonb)

-- name: waiting
SELECT i.business_id FROM dialer.inbox i WHERE i.applied_at IS NULL GROUP BY i.business_id ORDER BY min(i.seq) LIMIT $1

-- name: apply_received
SELECT * FROM dialer.apply_received_v1($1::integer, $2::integer)

-- name: forget
DELETE FROM dialer.inbox WHERE (business_id, id) IN (SELECT business_id, id FROM dialer.inbox WHERE expires_at < now() LIMIT $1)
