-- name: next
SELECT id, business_id, run_id, job_id, command_id, type, at, data
FROM dialer.outbox
WHERE (business_id::bigint << 32) + coalesce(run_id, 0) <> ALL ($2::bigint[])
ORDER BY id LIMIT $1

-- name: delete
WITH published AS (
    -- With the deliveries to webhooks, in one statement: no event is lost between the two, and none is delivered twice.
    DELETE FROM dialer.outbox WHERE id = ANY ($1::bigint[])
    RETURNING id, business_id, run_id, job_id, command_id, type, at, data
), made AS (
    INSERT INTO dialer.deliveries (business_id, webhook_id, queue, event_id, run_id, job_id, command_id, type, at, data)
    SELECT p.business_id, w.webhook_id, coalesce(p.run_id, 0), p.id, p.run_id, p.job_id, p.command_id, p.type, p.at,
           p.data
    FROM published p
    JOIN dialer.webhooks w ON w.business_id = p.business_id AND p.type = ANY (w.events)
        AND w.disabled_at IS NULL AND w.deleted_at IS NULL
    ORDER BY p.id
    RETURNING business_id, webhook_id, queue
)
-- The row of a queue is locked, so that no worker deletes it as empty meanwhile.
INSERT INTO dialer.delivery_queues (business_id, webhook_id, queue)
SELECT DISTINCT m.business_id, m.webhook_id, m.queue FROM made m ORDER BY m.webhook_id, m.queue
ON CONFLICT (webhook_id, queue) DO UPDATE SET queue = excluded.queue WHERE FALSE
