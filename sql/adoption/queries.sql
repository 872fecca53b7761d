-- name: has_old_tables
SELECT (to_regclass('public.outbound_call_runs') IS NOT NULL OR to_regclass('public.outbound_call_jobs') IS NOT NULL)

-- name: old_columns
SELECT c.relname AS table_name, a.attname AS column_name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS required, (a.atthasdef OR a.attidentity <> '') AS has_default
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p')

-- name: obstacles
WITH old AS (
    SELECT t.oid, t.relname::text AS name, t.relkind, t.relowner FROM pg_class t
    WHERE t.oid IN (to_regclass('public.outbound_call_runs'), to_regclass('public.outbound_call_jobs'))
)
SELECT CASE c.contype WHEN 'f' THEN format('%s refers to outbound_call_jobs, whose rows may be archived: %s',
                                           c.conrelid::regclass, c.conname)
                      ELSE format('%s allows its own words of status only: %s', o.name, c.conname) END AS difference
FROM pg_constraint c JOIN old o ON o.oid = CASE c.contype WHEN 'f' THEN c.confrelid ELSE c.conrelid END
JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE c.contype = 'f' AND o.name = 'outbound_call_jobs' AND n.nspname <> 'dialer'
   OR c.contype = 'c' AND EXISTS (SELECT FROM pg_attribute a
                                  WHERE a.attrelid = o.oid AND a.attnum = ANY (c.conkey) AND a.attname = 'status')
UNION ALL
SELECT format('%s is an index of another kind: %s', i.indexrelid::regclass, pg_get_indexdef(i.indexrelid))
FROM pg_index i JOIN old o ON o.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
WHERE x.relname = ANY ('{unique_run_lead,outbound_call_jobs_position}')
  AND NOT (i.indisunique AND i.indpred IS NULL
           AND ARRAY(SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, nth)
                     JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = k.attnum ORDER BY k.nth)
               = CASE x.relname WHEN 'unique_run_lead' THEN '{run_id,lead_id}' ELSE '{run_id,position}' END::text[])
UNION ALL
SELECT format('%s has a rule, which keeps rows from being changed as a migration has to: DROP RULE %I ON %s, or make '
              'it a trigger', o.name, w.rulename, o.name)
FROM pg_rewrite w JOIN old o ON o.oid = w.ev_class WHERE w.rulename <> '_RETURN'
UNION ALL
SELECT format('%s belongs to %s, and only its owner can add columns: migrate as that user, or as a member of that role',
              o.name, pg_get_userbyid(o.relowner))
FROM old o WHERE NOT pg_has_role(o.relowner, 'USAGE')
UNION ALL
SELECT format('%s is partitioned: its indexes cannot be built while others write; move its rows into an ordinary table',
              o.name)
FROM old o WHERE o.relkind = 'p'
UNION ALL
SELECT format('%s.id is no primary key, so two rows may have one id: give each row its own, then ALTER TABLE %s '
              'ADD PRIMARY KEY (id)', o.name, o.name)
FROM old o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attname = 'id' AND NOT a.attisdropped
WHERE NOT EXISTS (SELECT FROM pg_index i
                  WHERE i.indrelid = o.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                    AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND a.attnotnull)
ORDER BY 1

-- name: invalid_indexes
SELECT format('DROP INDEX CONCURRENTLY %s', i.indexrelid::regclass) AS statement
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relname = ANY ($1::text[])
  AND i.indrelid IN (to_regclass('public.outbound_call_runs'), to_regclass('public.outbound_call_jobs'))

-- name: of_business
SELECT b.region, b.timezone, dialer.is_incomplete(b.business_id, $2::integer) AS incomplete
FROM dialer.businesses b WHERE b.business_id = $1

-- name: one_completion
SELECT pg_advisory_xact_lock(dialer.additions_lock(), $1::integer) FROM set_config('lock_timeout', '30s', TRUE)

-- name: mark_old_calls
SELECT dialer.mark_old_calls_v1($1::integer, $2::integer)

-- name: unread_jobs
SELECT * FROM dialer.unread_jobs_v1($1::integer, $2::integer, $3::integer, $4::integer)

-- name: known_phones
SELECT j.phone, j.lead_id::bigint AS lead_id FROM public.outbound_call_jobs j
WHERE j.business_id = $1 AND j.run_id = $2 AND j.position < dialer.unread_from() AND j.phone IS NOT NULL

-- name: last_position
SELECT coalesce(max(j.position), 0) FROM public.outbound_call_jobs j
WHERE j.business_id = $1 AND j.run_id = $2 AND j.position < dialer.unread_from()

-- name: read_jobs
SELECT dialer.read_jobs_v1($1::integer, $2::integer, $3::bigint[], $4::text[], $5::text[], $6::integer)

-- name: reject_jobs
SELECT dialer.reject_jobs_v1($1::integer, $2::integer, $3::bigint[], $4::text[])

-- name: complete_run
SELECT dialer.complete_run_v1($1::integer, $2::integer, $3::text[], $4::integer[], $5::integer[], $6::integer, $7::text,
                              $8::integer)

-- name: runs_in_doubt
SELECT r AS run_id FROM dialer.runs_in_doubt_v1($1::integer) r

-- name: name_account
UPDATE dialer.attempts a SET account_sid = $1
FROM dialer.lanes l WHERE a.id = ANY (l.inflight) AND a.business_id = l.business_id AND a.account_sid = ''

-- name: recent_calls
SELECT c.job_id, c.number, b.region
FROM dialer.businesses b
CROSS JOIN LATERAL dialer.recent_old_calls_v1($1::integer, now() - make_interval(days => $2::integer), $3::bigint,
                                              $4::integer) c
WHERE b.business_id = $1 ORDER BY c.job_id

-- name: count_calls
SELECT dialer.count_old_calls_v1($1::integer, $2::bigint[], $3::text[], $4::text)

-- name: old_businesses
SELECT business_id, name, phone, is_adopted FROM dialer.old_businesses_v1()

-- name: are_elsewhere
SELECT EXISTS (SELECT FROM pg_constraint c
               WHERE c.conrelid = 'public.outbound_call_runs'::regclass AND c.contype = 'f'
                 AND c.confrelid = to_regclass('public.business'))

-- name: adopt_business
WITH business AS (
    INSERT INTO dialer.businesses (business_id, name, caller_ids, region, timezone, max_calls_limit, calling_hours,
                                   min_gap_hours, max_per_day)
    VALUES ($1, $2, $3::jsonb, $4, $5, $6, $7::jsonb, $8, $9)
    ON CONFLICT (business_id) DO NOTHING RETURNING business_id, name
), audited AS (
    INSERT INTO dialer.audit_log (business_id, actor, action, detail, address)
    SELECT business_id, $10, 'business.adopt', jsonb_build_object('name', name), $11 FROM business
), lane AS (
    INSERT INTO dialer.lanes (business_id, partition, max_calls, cap, timeline)
    SELECT business_id, dialer.partition_of(business_id), $6, $6, (SELECT max(h.id) FROM dialer.timelines h)
    FROM business
)
-- A business that is created later gets an id above those of the old application.
SELECT setval(s.name, greatest(nextval(s.name), b.business_id)), b.business_id
FROM business b, (SELECT pg_get_serial_sequence('dialer.businesses', 'business_id') AS name) s
