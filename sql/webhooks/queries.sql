-- name: add
SELECT dialer.add_webhook_v1($1::integer, $2::text, $3::bytea, $4::text, make_interval(secs => $5::float8), $6::text,
                             $7::text[], $8::text, $9::integer)
FROM set_config('dialer.address', $10, TRUE)

-- name: of
SELECT w.webhook_id, w.url, w.events, w.created_at, w.created_by, w.failing_since, w.disabled_at
FROM dialer.webhooks w WHERE w.business_id = $1 AND w.deleted_at IS NULL ORDER BY w.webhook_id

-- name: delete
SELECT dialer.delete_webhook_v1($1::integer, $2::integer, $3::text) FROM set_config('dialer.address', $4, TRUE)

-- name: owner
SELECT w.business_id FROM dialer.webhooks w WHERE w.business_id <> $1 AND w.webhook_id = $2 AND w.deleted_at IS NULL

-- name: delivery_owner
SELECT d.business_id FROM dialer.deliveries d WHERE d.business_id <> $1 AND d.delivery_id = $2

-- name: page
SELECT d.delivery_id, d.event_id, d.run_id, d.job_id, d.command_id, d.type, d.at, d.data, d.created_at, d.status,
       d.tries, d.tried_at, d.response_status, d.response_body, d.error, d.ended_at,
       -- The first pending one of a queue has its next try; the others wait for it.
       CASE WHEN first.delivery_id = d.delivery_id THEN first.due_at END AS next_try_at,
       nullif(first.delivery_id, d.delivery_id) AS waits_for
FROM dialer.deliveries d
LEFT JOIN LATERAL (
    SELECT f.delivery_id, q.due_at
    FROM dialer.deliveries f
    LEFT JOIN dialer.delivery_queues q ON q.webhook_id = f.webhook_id AND q.queue = f.queue
    WHERE f.business_id = d.business_id AND f.webhook_id = d.webhook_id AND f.queue = d.queue AND f.status = 'pending'
    ORDER BY f.event_id LIMIT 1) first ON d.status = 'pending'
WHERE d.business_id = $1 AND d.webhook_id = $2 AND ($3::text[] IS NULL OR d.status = ANY ($3))
  AND ($4::bigint IS NULL OR d.delivery_id < $4)
ORDER BY d.delivery_id DESC LIMIT $5

-- name: ids_from
SELECT d.delivery_id FROM dialer.deliveries d
WHERE d.business_id = $1 AND d.webhook_id = $2 AND ($3::text[] IS NULL OR d.status = ANY ($3)) AND d.delivery_id >= $4
ORDER BY d.delivery_id LIMIT $5

-- name: redeliver
SELECT dialer.redeliver_v1($1::integer, $2::text, $3::bytea, $4::text, make_interval(secs => $5::float8), $6::integer,
                           $7::bigint)
FROM set_config('dialer.address', $8, TRUE)

-- name: due
SELECT d.business_id, d.webhook_id, d.queue, d.is_failing
-- The first queues of each webhook, in turn; those of webhooks that fail at present come last.
FROM (SELECT q.business_id, q.webhook_id, q.queue, q.due_at, w.failing_since IS NOT NULL AS is_failing,
             row_number() OVER (PARTITION BY q.webhook_id ORDER BY q.due_at, q.queue) AS nth
      FROM dialer.delivery_queues q
      JOIN dialer.webhooks w ON w.webhook_id = q.webhook_id AND w.business_id = q.business_id
          AND w.disabled_at IS NULL AND w.deleted_at IS NULL
      JOIN dialer.lanes l ON l.business_id = q.business_id AND l.partition = ANY ($1::integer[])
      WHERE q.due_at <= now() AND (q.leased_until IS NULL OR q.leased_until <= now())) d
WHERE d.nth <= $2
ORDER BY d.is_failing, d.nth, d.due_at LIMIT $3

-- name: lease
UPDATE dialer.delivery_queues q
SET leased_until = now() + make_interval(secs => $4::float8), leases = q.leases + 1
FROM (SELECT x.webhook_id, x.queue
      FROM unnest($1::integer[], $2::integer[], $3::bigint[]) AS wanted (business_id, webhook_id, queue)
      JOIN dialer.delivery_queues x ON x.webhook_id = wanted.webhook_id AND x.queue = wanted.queue
          AND x.business_id = wanted.business_id
      WHERE x.due_at <= now() AND (x.leased_until IS NULL OR x.leased_until <= now())
      FOR UPDATE OF x SKIP LOCKED) free
JOIN dialer.webhooks w ON w.webhook_id = free.webhook_id
WHERE q.webhook_id = free.webhook_id AND q.queue = free.queue AND q.business_id = w.business_id
RETURNING q.business_id, q.webhook_id, q.queue, q.leases AS lease, q.failures, w.url, w.sealed_key

-- name: pending
SELECT d.delivery_id, d.event_id, d.run_id, d.job_id, d.command_id, d.type, d.at, d.data
FROM dialer.deliveries d
WHERE d.business_id = $1 AND d.webhook_id = $2 AND d.queue = $3 AND d.status = 'pending'
ORDER BY d.event_id LIMIT $4

-- name: record
SELECT dialer.record_delivery_v1($1::integer, $2::integer, $3::bigint, $4::integer, $5::bigint, $6::jsonb,
                                 make_interval(secs => $7::float8), make_interval(secs => $8::float8))

-- name: release
SELECT dialer.release_queue_v1($1::integer, $2::integer, $3::bigint, $4::integer)

-- name: forget
SELECT dialer.forget_deliveries_v1($1::integer[], $2::integer, $3::integer)

-- name: keys_after
SELECT w.webhook_id AS id, w.business_id, w.sealed_key AS sealed FROM dialer.webhooks w
WHERE w.webhook_id > $1 AND w.deleted_at IS NULL ORDER BY w.webhook_id LIMIT $2

-- name: renew_key
UPDATE dialer.webhooks SET sealed_key = $4 WHERE business_id = $1 AND webhook_id = $2 AND sealed_key = $3
