-- name: command
SELECT dialer.command_v1($1::integer, $2::text, $3::bytea, $4::text, $5::integer, $6::bigint, $7::boolean, $8::text,
                         make_interval(secs => $9::float8))
-- A client retries when the run is locked; it must not occupy a connection meanwhile.
FROM set_config('lock_timeout', '100ms', TRUE) w, set_config('dialer.address', $10, TRUE) a

-- name: start_due
SELECT dialer.start_due_v1($1::integer, $2::text, $3::bytea, $4::integer, $5::bigint, $6::text,
                           make_interval(secs => $7::float8))
FROM set_config('lock_timeout', '100ms', TRUE)

-- name: remember
UPDATE dialer.inbox SET answer = answer || jsonb_build_object('shown', $3::jsonb) WHERE business_id = $1 AND id = $2

-- name: receive_request
SELECT dialer.receive_request_v1($1::integer, $2::text, $3::bytea, $4::text, NULL, NULL, $5::text,
                                 make_interval(secs => $6::float8))

-- name: answer_request
SELECT dialer.answer_request_v1($1::integer, $2::text, $3::jsonb)

-- name: answer_of
SELECT answer FROM dialer.inbox WHERE business_id = $1 AND id = $2 AND type = ANY ($3::text[]) AND expires_at > now()

-- name: position
SELECT entry FROM dialer.positions WHERE stream = 'dialer:commands' ORDER BY n DESC LIMIT 1

-- name: receive
SELECT dialer.receive_v1($1::text, $2::text, $3::jsonb)

-- name: waiting
WITH RECURSIVE oldest AS (
    -- One step per business, however many of its commands wait.
    (SELECT i.business_id, i.seq FROM dialer.inbox i WHERE i.applied_at IS NULL ORDER BY i.business_id, i.seq LIMIT 1)
    UNION ALL
    SELECT n.business_id, n.seq FROM oldest o CROSS JOIN LATERAL (
        SELECT i.business_id, i.seq FROM dialer.inbox i WHERE i.applied_at IS NULL AND i.business_id > o.business_id
        ORDER BY i.business_id, i.seq LIMIT 1) n
)
SELECT o.business_id FROM oldest o WHERE o.business_id <> ALL ($2::integer[]) ORDER BY o.seq LIMIT $1

-- name: apply_received
SELECT * FROM dialer.apply_received_v1($1::integer, $2::integer)

-- name: reject_incomplete
SELECT dialer.reject_incomplete_v1($1::integer, $2::integer)

-- name: forget
SELECT dialer.forget_v1($1::integer)
