-- name: stop_business
SELECT dialer.stop_dialling_v1($1::integer, $2::text, $3::bytea, $4::text, $5::text, $6::text,
                               make_interval(secs => $7::float8))

-- name: stop_installation
SELECT since, reason FROM dialer.stop_installation_v1($1::text, $2::text, $3::text)

-- name: pass_lanes
SELECT max(p.business_id) AS last, coalesce(sum(cardinality(p.inflight)), 0)::integer AS in_progress
FROM (SELECT l.business_id, l.inflight FROM dialer.lanes l WHERE l.business_id > $1
      ORDER BY l.business_id LIMIT $2 FOR NO KEY UPDATE) p
