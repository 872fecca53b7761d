-- name: next
SELECT id, business_id, run_id, job_id, command_id, type, at, data
FROM dialer.outbox
WHERE (business_id::bigint << 32) + coalesce(run_id, 0) <> ALL ($2::bigint[])
ORDER BY id LIMIT $1

-- name: delete
DELETE FROM dialer.outbox WHERE id = ANY ($1::bigint[])
