-- name: begin
SELECT dialer.begin_operation_v1($1::integer, $2::text, $3::bytea, $4::text, $5::integer,
                                 ROW($6::bigint[], $7::text[], $8::text[], $9::text, $10::text, $11::text[]),
                                 $12::text, make_interval(secs => $13::float8), $14::text[])
FROM set_config('dialer.address', $15, TRUE)

-- name: get
SELECT o.operation_id, o.type, o.status, o.run_id, o.new_run_id, cardinality(o.jobs) AS total, o.done, o.skipped
FROM dialer.operations o WHERE o.business_id = $1 AND o.operation_id = $2

-- name: foreign
SELECT business_id FROM dialer.operations WHERE operation_id = $2 AND business_id <> $1

-- name: running
SELECT DISTINCT ON (o.business_id) o.business_id, o.operation_id, o.run_id, o.type, l.partition -- one of each business
FROM dialer.operations o JOIN dialer.lanes l ON l.business_id = o.business_id
WHERE o.status = 'running' AND l.partition = ANY ($1::smallint[]) AND o.operation_id <> ALL ($3::bigint[])
ORDER BY o.business_id, o.operation_id LIMIT $2

-- name: operate
SELECT dialer.operate_v1($1::integer, $2::bigint, $3::integer)

-- name: fail
UPDATE dialer.operations SET status = 'failed', ended_at = now()
WHERE business_id = $1 AND operation_id = $2 AND status = 'running'
