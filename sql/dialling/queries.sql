-- name: stop_business
SELECT dialer.stop_dialling_v1($1::integer, $2::text, $3::bytea, $4::text, $5::text, $6::text,
                               make_interval(secs => $7::float8))
FROM set_config('dialer.address', $8, TRUE)

-- name: stop_installation
SELECT (x.r).since, (x.r).reason
-- A function that returns rows would not wait for the setting beside it.
FROM (SELECT dialer.stop_installation_v1($1::text, $2::text, $3::text) AS r
      FROM set_config('dialer.address', $4, TRUE)) x

-- name: pass_lanes
SELECT max(p.business_id) AS last, coalesce(sum(cardinality(p.inflight)), 0)::integer AS in_progress
FROM (SELECT l.business_id, l.inflight FROM dialer.lanes l WHERE l.business_id > $1
      ORDER BY l.business_id LIMIT $2 FOR NO KEY UPDATE) p
