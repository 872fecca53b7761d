-- name: notice
SELECT dialer.notice_timeline_v1()

-- name: note_restore
SELECT dialer.note_restore_v1($1::text) FROM set_config('dialer.address', $2::text, TRUE)

-- name: present
SELECT h.id, h.since, (SELECT min(m.calls_from) FROM dialer.timelines m
                       WHERE m.id > coalesce((SELECT l.timeline FROM dialer.lanes l WHERE l.business_id = $1),
                                             0)) AS calls_from,
       greatest(extract(epoch FROM h.since + make_interval(secs => $2::float8) - clock_timestamp()),
                0)::float8 AS wait_seconds,
       clock_timestamp() AS as_of
FROM dialer.timelines h ORDER BY h.id DESC LIMIT 1

-- name: adopt_calls
SELECT dialer.adopt_calls_v1($1::uuid, $2::bigint, $3::integer, $4::integer, $5::timestamptz, $6::jsonb, $7::integer,
                             $8::integer, $9::text)
