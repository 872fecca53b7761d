-- name: refuse
SELECT dialer.refuse_number_v1($1::integer, $2::text, $3::text, $4::jsonb)

-- name: add
SELECT (x.r).added, (x.r).audit_id
-- A function that returns rows would not wait for the setting beside it.
FROM (SELECT dialer.add_do_not_call_v1($1::integer, $2::text[], $3::text[], $4::text, $5::jsonb, $6::bigint) AS r
      FROM set_config('dialer.address', $7, TRUE)) x

-- name: remove
SELECT (x.r).removed, (x.r).on_register
FROM (SELECT dialer.remove_do_not_call_v1($1::integer, $2::text[], $3::text) AS r
      FROM set_config('dialer.address', $4, TRUE)) x

-- name: in_progress
SELECT a.phone FROM dialer.lanes l JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
WHERE l.business_id = $1

-- name: begin_register
INSERT INTO dialer.registers (business_id, name) VALUES ($1, $2) RETURNING register_id

-- name: load_register
WITH loaded AS (
    INSERT INTO dialer.do_not_call (business_id, phone, register_id, added_by)
    SELECT $1, t.phone, $2, $4 FROM unnest($3::text[]) AS t (phone)
    ON CONFLICT (business_id, phone, register_id) DO NOTHING RETURNING phone
)
SELECT count(*) FROM loaded

-- name: replace_register
SELECT dialer.replace_register_v1($1::integer, $2::integer, $3::integer, $4::text, $5::jsonb)
FROM set_config('dialer.address', $6, TRUE)

-- name: registers
SELECT g.register_id, g.name, g.imported_at, g.numbers FROM dialer.registers g
WHERE g.business_id = $1 AND g.current ORDER BY g.name

-- name: page
SELECT d.phone, d.register_id, g.name AS register, d.reason, d.added_at, d.added_by
FROM dialer.do_not_call d
LEFT JOIN dialer.registers g ON g.register_id = d.register_id AND g.business_id = d.business_id
WHERE d.business_id = $1 AND (d.register_id = 0 OR g.current) AND (d.phone, d.register_id) > ($2::text, $3::integer)
  AND ($4::text[] IS NULL OR d.phone LIKE ANY ($4)) AND ($5::text IS NULL OR g.name = $5)
ORDER BY d.phone, d.register_id LIMIT $6

-- name: page_before
SELECT d.phone, d.register_id
FROM dialer.do_not_call d
LEFT JOIN dialer.registers g ON g.register_id = d.register_id AND g.business_id = d.business_id
WHERE d.business_id = $1 AND (d.register_id = 0 OR g.current) AND (d.phone, d.register_id) <= ($2::text, $3::integer)
  AND ($4::text[] IS NULL OR d.phone LIKE ANY ($4)) AND ($5::text IS NULL OR g.name = $5)
ORDER BY d.phone DESC, d.register_id DESC LIMIT $6

-- name: export
SELECT d.phone, d.reason, d.added_at, d.added_by FROM dialer.do_not_call d
WHERE d.business_id = $1 AND d.register_id = $2 AND d.phone > $3 ORDER BY d.phone LIMIT $4
