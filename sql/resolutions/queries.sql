-- name: resolve
SELECT dialer.resolve_v1($1::integer, $2::text, $3::bytea, $4::integer, $5::bigint, $6::text, $7::text,
                         make_interval(secs => $8::float8))
FROM set_config('dialer.address', $9, TRUE)
