-- name: of_run
SELECT a.id AS audit_id, a.at, a.actor, a.action, a.run_id, a.job_id, a.detail, a.address FROM dialer.audit_log a
WHERE a.business_id = $1 AND a.run_id = $2
ORDER BY a.id DESC LIMIT $3

-- name: write
INSERT INTO dialer.audit_log (business_id, actor, action, run_id, detail, address)
VALUES ($1, $2, $3, $4, $5::jsonb, $6)

-- name: page
SELECT a.id AS audit_id, a.at, a.actor, a.action, a.run_id, a.job_id, a.detail, a.address FROM dialer.audit_log a
WHERE a.business_id = $1 AND ($2::text IS NULL OR a.actor = $2) AND ($3::text[] IS NULL OR a.action = ANY ($3))
  AND ($4::integer IS NULL OR a.run_id = $4) AND ($5::timestamptz IS NULL OR a.at >= $5)
  AND ($6::timestamptz IS NULL OR a.at < $6) AND ($7::bigint IS NULL OR a.id < $7)
ORDER BY a.id DESC LIMIT $8

-- name: page_before
SELECT a.id AS audit_id FROM dialer.audit_log a
WHERE a.business_id = $1 AND ($2::text IS NULL OR a.actor = $2) AND ($3::text[] IS NULL OR a.action = ANY ($3))
  AND ($4::integer IS NULL OR a.run_id = $4) AND ($5::timestamptz IS NULL OR a.at >= $5)
  AND ($6::timestamptz IS NULL OR a.at < $6) AND a.id >= $7
ORDER BY a.id LIMIT $8

-- name: actors
WITH RECURSIVE known AS (
    -- One step per actor, however many entries each has.
    (SELECT a.actor FROM dialer.audit_log a WHERE a.business_id = $1 ORDER BY a.actor LIMIT 1)
    UNION ALL
    SELECT n.actor FROM known k CROSS JOIN LATERAL (
        SELECT a.actor FROM dialer.audit_log a WHERE a.business_id = $1 AND a.actor > k.actor
        ORDER BY a.actor LIMIT 1) n
)
SELECT actor FROM known LIMIT $2
