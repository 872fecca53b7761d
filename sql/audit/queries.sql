-- name: of_run
SELECT a.at, a.actor, a.action, a.job_id, a.detail FROM dialer.audit_log a WHERE a.business_id = $1 AND a.run_id = $2
ORDER BY a.id DESC LIMIT $3

-- name: write
INSERT INTO dialer.audit_log (business_id, actor, action, run_id, detail) VALUES ($1, $2, $3, $4, $5::jsonb)
