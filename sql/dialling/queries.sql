-- name: stop_business
SELECT dialer.stop_dialling_v1($1::integer, $2::text, $3::bytea, $4::text, $5::text, $6::text,
                               make_interval(secs => $7::float8))
FROM set_config('dialer.address', $8, TRUE)

-- name: stop_installation
WITH audited AS (
    -- No function of ours is called: a stop works in the middle of a deploy too, wherever these tables are. The caller
    -- commits, and then passes every lane once (pass_lanes): only after that no claim is in progress that has not seen
    -- it. Business 0 is the installation.
    INSERT INTO dialer.audit_log (business_id, actor, action, detail, address)
    VALUES (0, $3, $1, jsonb_strip_nulls(jsonb_build_object('reason', $2::text)), $4)
)
UPDATE dialer.installation i
SET stopped_at = CASE $1::text WHEN 'installation.stop' THEN coalesce(i.stopped_at, now()) END,
    stopped_by = CASE $1::text WHEN 'installation.stop' THEN $3::text END,
    stop_reason = CASE $1::text WHEN 'installation.stop' THEN $2::text END
RETURNING i.stopped_at AS since, i.stop_reason AS reason

-- name: pass_lanes
SELECT max(p.business_id) AS last, coalesce(sum(cardinality(p.inflight)), 0)::integer AS in_progress
FROM (SELECT l.business_id, l.inflight FROM dialer.lanes l WHERE l.business_id > $1
      ORDER BY l.business_id LIMIT $2 FOR NO KEY UPDATE) p
