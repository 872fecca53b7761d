-- name: get
SELECT *, dialer.rules_of(business_id) AS rules FROM public.outbound_call_runs WHERE business_id = $1 AND id = $2

-- name: page
SELECT *, dialer.rules_of(business_id) AS rules FROM public.outbound_call_runs
WHERE business_id = $1 AND ($2::text[] IS NULL OR status = ANY ($2)) AND ($3::integer IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4

-- name: page_before
SELECT id FROM public.outbound_call_runs
WHERE business_id = $1 AND ($2::text[] IS NULL OR status = ANY ($2)) AND id >= $3
ORDER BY id LIMIT $4

-- name: some
SELECT *, dialer.rules_of(business_id) AS rules FROM public.outbound_call_runs
WHERE business_id = $1 AND id = ANY ($2::integer[])

-- name: active
SELECT *, dialer.rules_of(business_id) AS rules FROM public.outbound_call_runs
WHERE business_id = $1
  AND (status IN ('pending', 'running', 'paused')
       OR id IN (SELECT a.run_id FROM dialer.lanes l
                 JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
                 WHERE l.business_id = $1))
ORDER BY id DESC LIMIT $2

-- name: leads_of
SELECT total_leads FROM public.outbound_call_runs WHERE business_id = $1 AND id = $2

-- name: foreign
SELECT business_id FROM public.outbound_call_runs WHERE id = $2 AND business_id <> $1

-- name: number_leads
INSERT INTO dialer.lead_numbers (business_id, external_id)
SELECT $1, t.external_id FROM (SELECT DISTINCT unnest($2::text[]) AS external_id) t
WHERE NOT EXISTS (SELECT FROM dialer.lead_numbers n WHERE n.business_id = $1 AND n.external_id = t.external_id)
ORDER BY t.external_id
ON CONFLICT (business_id, external_id) DO NOTHING

-- name: lead_numbers
SELECT external_id, lead_id FROM dialer.lead_numbers WHERE business_id = $1 AND external_id = ANY ($2::text[])

-- name: lock_timeout_while_loading
SELECT set_config('lock_timeout', '30s', TRUE)

-- name: insert
INSERT INTO public.outbound_call_runs (business_id, name, status, concurrency, total_leads, queued_count, priority,
                                       settings, created_by_user_id, schedule_at, ancestors)
VALUES ($1, $2, 'pending', $3, $4, $4, $5, $6::jsonb, $7, $8::timestamptz AT TIME ZONE 'UTC', $9::integer[])
RETURNING id

-- name: add_variables
INSERT INTO dialer.lead_variables (business_id, run_id, position, variables)
SELECT $1, $2, v.position, v.variables::jsonb FROM unnest($3::integer[], $4::text[]) AS v (position, variables)

-- name: known_variables
SELECT DISTINCT n.name FROM dialer.lead_variables v CROSS JOIN LATERAL jsonb_object_keys(v.variables) AS n (name)
WHERE v.business_id = $1 AND v.run_id = $2 AND n.name = ANY ($3::text[])
UNION
SELECT 'name' WHERE EXISTS (
    SELECT FROM public.outbound_call_jobs j WHERE j.business_id = $1 AND j.run_id = $2 AND btrim(j.lead_name) <> '')

-- name: change
SELECT dialer.change_run_settings_v1($1::integer, $2::integer, $3::jsonb, $4::text, $5::text[])
FROM set_config('dialer.address', $6, TRUE)

-- name: one_addition
SELECT pg_advisory_xact_lock(dialer.additions_lock(), $1::integer)

-- name: known_leads
SELECT coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS shown, j.lead_id, j.phone
FROM public.outbound_call_jobs j
WHERE j.business_id = $1 AND j.run_id = $2 AND (j.lead_id = ANY ($3::bigint[]) OR j.phone = ANY ($4::text[]))

-- name: last_position
SELECT coalesce(max(j.position), 0) FROM public.outbound_call_jobs j
WHERE j.business_id = $1 AND j.run_id = $2 AND j.position < dialer.unread_from()

-- name: highest_lead
SELECT coalesce(max(j.lead_id), 0) FROM public.outbound_call_jobs j
-- Beyond 2^53 an id is no number that somebody has counted.
WHERE j.business_id = $1 AND j.run_id = $2 AND j.lead_id BETWEEN 1 AND 9007199254740991

-- name: count_addition
SELECT dialer.count_addition_v1($1::integer, $2::integer, $3::integer, $4::text[], $5::integer[], $6::integer[],
                                $7::text)
FROM set_config('dialer.address', $8, TRUE)

-- name: copy_leads
SELECT dialer.copy_leads_v1($1::integer, $2::integer, $3::integer, $4::text[])

-- name: lineage
SELECT r.ancestors || r.id FROM public.outbound_call_runs r WHERE r.business_id = $1 AND r.id = $2

-- name: add_zones
SELECT dialer.add_zones_v1($1::integer, $2::integer, $3::text[], $4::integer[], $5::integer[])

-- name: closed_zones
SELECT r.business_id, r.id AS run_id, z.zone, dialer.hours_of(r.settings, b.calling_hours) AS hours,
       dialer.counts_days(r.settings, b.max_per_day) AS by_day, clock_timestamp() AS now
FROM dialer.lanes l
JOIN public.outbound_call_runs r ON r.business_id = l.business_id AND r.status = 'running'
JOIN dialer.businesses b ON b.business_id = r.business_id
CROSS JOIN LATERAL (
    SELECT DISTINCT y.zone FROM dialer.run_zones y
    WHERE y.run_id = r.id AND y.business_id = r.business_id AND coalesce(y.closes_at <= now(), TRUE)) z
WHERE l.partition = ANY ($1::smallint[]) AND r.started_at IS NOT NULL AND NOT r.cancel_requested
  AND r.id <> ALL ($3::integer[])
ORDER BY r.business_id, r.id, z.zone LIMIT $2

-- name: store_windows
SELECT dialer.store_windows_v1($1::integer[], $2::integer[], $3::text[], $4::jsonb[], $5::boolean[], $6::timestamptz[],
                               $7::timestamptz[], $8::timestamptz[], $9::timestamptz[])

-- name: to_rewrite
SELECT DISTINCT ON (r.business_id) r.business_id, r.id -- one of each business at a time
FROM public.outbound_call_runs r JOIN dialer.lanes l ON l.business_id = r.business_id
WHERE r.rewrite_pending AND l.partition = ANY ($1::smallint[]) AND r.id <> ALL ($3::integer[])
ORDER BY r.business_id, r.id LIMIT $2

-- name: rewrite
SELECT dialer.rewrite_cancelled_v1($1::integer, $2::integer, $3::integer, $4::integer)

-- name: rewritten
SELECT dialer.rewritten_v1($1::integer, $2::integer)

-- name: to_end
SELECT r.business_id, r.id FROM public.outbound_call_runs r JOIN dialer.lanes l ON l.business_id = r.business_id
WHERE (r.status = 'running' AND r.started_at IS NOT NULL AND r.queued_count = 0 AND r.in_progress_count = 0
       -- A cancel by its flag alone, whether the run was started or not.
       OR r.cancel_requested AND r.cancel_requested_at IS NULL AND r.ended_at IS NULL
          AND coalesce(r.status, '') NOT IN ('completed', 'failed', 'cancelled', 'stopped'))
  AND l.partition = ANY ($1::smallint[])
  AND r.id <> ALL ($3::integer[])
ORDER BY r.id LIMIT $2

-- name: to_delete
SELECT r.business_id, r.id
FROM dialer.lanes l
JOIN dialer.businesses b ON b.business_id = l.business_id AND b.retention_days IS NOT NULL
JOIN public.outbound_call_runs r ON r.business_id = l.business_id
WHERE l.partition = ANY ($1::smallint[]) AND r.status IN ('completed', 'cancelled', 'stopped', 'failed')
  AND r.in_progress_count = 0 AND NOT r.rewrite_pending
  AND r.ended_at < dialer.utc() - make_interval(days => b.retention_days)
  AND r.ended_at < dialer.utc() - dialer.history_needed(b.business_id, b.min_gap_hours)
  AND r.id <> ALL ($3::integer[])
ORDER BY r.id LIMIT $2

-- name: delete_run
SELECT dialer.delete_run_v1($1::integer, $2::integer, $3::integer)

-- name: to_start
SELECT r.business_id, r.id, floor(extract(epoch FROM r.schedule_at))::bigint AS at,
       extract(epoch FROM r.schedule_at - (clock_timestamp() AT TIME ZONE 'UTC'))::float8 AS seconds
FROM public.outbound_call_runs r JOIN dialer.lanes l ON l.business_id = r.business_id
WHERE r.status = 'pending' AND r.schedule_at IS NOT NULL AND l.partition = ANY ($1::smallint[])
  AND r.id <> ALL ($3::integer[])
ORDER BY r.schedule_at, r.id LIMIT $2

-- name: end_if_done
SELECT dialer.close_run_v1($1::integer, $2::integer)

-- name: last_load
SELECT coalesce((SELECT max(l.number) FROM dialer.loads l
                 WHERE l.business_id = $1 AND l.run_id = $2), 0) AS number,
       coalesce((SELECT max(x.place) FROM dialer.reported_rows x
                 WHERE x.business_id = $1 AND x.run_id = $2), 0) AS place

-- name: add_load
INSERT INTO dialer.loads (business_id, run_id, number, loaded_by, accepted, rejected, duplicates, columns)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)

-- name: add_reported_rows
INSERT INTO dialer.reported_rows (business_id, run_id, place, number, row, kind, lead_id, phone, reason, detail)
SELECT $1, $2, $3 + r.n, $4, r.row, r.kind, r.lead_id::jsonb, r.phone, r.reason, r.detail::jsonb
FROM unnest($5::integer[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
     WITH ORDINALITY AS r (row, kind, lead_id, phone, reason, detail, n)

-- name: loads
SELECT l.number, l.loaded_at, l.loaded_by, l.accepted, l.rejected, l.duplicates
FROM dialer.loads l WHERE l.business_id = $1 AND l.run_id = $2 ORDER BY l.number

-- name: columns_of_lists
SELECT l.columns FROM public.outbound_call_runs r
-- Of the lists of a run and of those whose leads it calls again.
JOIN dialer.loads l ON l.business_id = r.business_id AND l.run_id = ANY (r.ancestors || r.id)
WHERE r.business_id = $1 AND r.id = $2 ORDER BY l.run_id, l.number

-- name: reported_rows
SELECT x.place, x.number, x.row, x.kind, x.lead_id, x.phone, x.reason, x.detail FROM dialer.reported_rows x
WHERE x.business_id = $1 AND x.run_id = $2 AND x.place > $3 AND ($4::text IS NULL OR x.kind = $4)
ORDER BY x.place LIMIT $5

-- name: reported_before
SELECT x.place FROM dialer.reported_rows x
WHERE x.business_id = $1 AND x.run_id = $2 AND x.place <= $3 AND ($4::text IS NULL OR x.kind = $4)
ORDER BY x.place DESC LIMIT $5
