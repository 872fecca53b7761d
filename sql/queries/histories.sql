-- name: notice
SELECT dialer.notice_history_v1()

-- name: present
SELECT h.id, h.calls_from, greatest(extract(epoch FROM h.since + make_interval(secs => $1::float8) - clock_timestamp()), 0)::float8 AS wait_seconds
FROM dialer.histories h ORDER BY h.id DESC LIMIT 1

-- name: adopt_strays
SELECT dialer.adopt_strays_v1($1::uuid, $2::bigint, $3::integer, $4::integer, $5::jsonb, $6::integer)
