-- name: tables
-- Every table with rows of businesses, as the catalogue has them: a new one cannot be forgotten. Those that others
-- refer to come last, and the businesses after all.
SELECT format('%I.%I', n.nspname, c.relname) AS name,
       ceil(pg_relation_size(c.oid) / current_setting('block_size')::float8)::bigint AS pages
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE a.attname = 'business_id' AND NOT a.attisdropped AND c.relkind = 'r'
  AND (n.nspname = 'dialer'
       OR c.oid IN (to_regclass('public.outbound_call_runs'), to_regclass('public.outbound_call_jobs')))
ORDER BY c.oid = to_regclass('dialer.businesses'),
         EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid AND k.contype = 'f'), 1

-- name: lacking
SELECT coalesce(array_agg(c.oid::regclass::text ORDER BY c.oid::regclass::text), '{}')
FROM unnest($1::text[]) AS t (name) JOIN pg_class c ON c.oid = to_regclass(t.name)
WHERE NOT has_table_privilege(c.oid, 'DELETE')

-- name: begin
SELECT dialer.begin_erasure_v1($1::integer, $2::text)

-- name: end
SELECT dialer.end_erasure_v1($1::integer, $2::text, $3::jsonb) FROM set_config('dialer.address', $4::text, TRUE)

-- name: business
SELECT b.name, coalesce((SELECT jsonb_agg(DISTINCT a.account_sid) FROM dialer.provider_accounts a
                         WHERE a.business_id = b.business_id), '[]') AS accounts
FROM dialer.businesses b WHERE b.business_id = $1

-- name: erase_attempts
WITH erased AS (
    DELETE FROM dialer.attempts a
    WHERE a.business_id = $1 AND a.ctid >= $3::text::tid AND a.ctid < $4::text::tid
      AND ($2::jsonb ->> 'phone' IS NULL OR a.phone = $2::jsonb ->> 'phone')
    RETURNING a.phone, a.created_at, a.sid, a.outcome, a.duration, a.state
), kept AS (
    INSERT INTO dialer.proofs (business_id, digest, kind, at, sid, outcome, duration, kept_until)
    SELECT $1, dialer.proof_digest($5, e.phone), 'call', e.created_at, e.sid, e.outcome, e.duration,
           now() + make_interval(days => $6)
    FROM erased e WHERE $6 > 0 AND e.state NOT IN ('not_sent', 'not_placed')
)
SELECT count(*) FROM erased

-- name: erase_numbers
WITH erased AS (
    DELETE FROM dialer.do_not_call d
    WHERE d.business_id = $1 AND d.ctid >= $3::text::tid AND d.ctid < $4::text::tid AND $2::jsonb IS NULL
    RETURNING d.phone, d.register_id, d.added_at
), kept AS (
    INSERT INTO dialer.proofs (business_id, digest, kind, at, kept_until)
    SELECT $1, dialer.proof_digest($5, e.phone), 'do_not_call', e.added_at, now() + make_interval(days => $6)
    FROM erased e WHERE $6 > 0 AND e.register_id = 0
)
SELECT count(*) FROM erased

-- name: proofs
SELECT p.kind, p.at, p.sid, p.outcome, p.duration, p.kept_until FROM dialer.proofs p
WHERE p.business_id = $1 AND p.digest IN (SELECT dialer.proof_digest(k, $3::text) FROM unnest($2::bytea[]) k)
ORDER BY p.at, p.proof_id

-- name: erase_lead
SELECT dialer.erase_lead_v1($1::integer, $2::bigint)

-- name: mask_audit
UPDATE dialer.audit_log a
SET detail = replace(a.detail::text, substr($2::jsonb ->> 'phone', 2), '***')::jsonb
WHERE a.business_id = $1 AND a.ctid >= $3::text::tid AND a.ctid < $4::text::tid
  AND strpos(a.detail::text, substr($2::jsonb ->> 'phone', 2)) > 0

-- name: forget_reasons
UPDATE dialer.do_not_call d SET reason = NULL, added_by = NULL
WHERE d.business_id = $1 AND d.phone = $2 AND d.register_id = 0

-- name: erase_lead_numbers
DELETE FROM dialer.lead_numbers n
WHERE n.business_id = $1 AND n.external_id = ANY ($2::text[]) AND NOT EXISTS (
    SELECT FROM public.outbound_call_runs r JOIN public.outbound_call_jobs j ON j.run_id = r.id
    WHERE r.business_id = $1 AND j.lead_id = n.lead_id)

-- name: note_person
INSERT INTO dialer.audit_log (business_id, actor, action, detail, address)
VALUES ($1, $2, 'person.erase', $3::jsonb, $4)
