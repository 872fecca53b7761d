-- name: insert
WITH business AS (
    INSERT INTO dialer.businesses (name, caller_ids, region, timezone, max_calls_limit, calling_hours, min_gap_hours,
                                   max_per_day)
    VALUES ($1, $2::jsonb, $3, $4, $5, $6::jsonb, $7, $8) RETURNING business_id, name
), audited AS (
    INSERT INTO dialer.audit_log (business_id, actor, action, detail, address)
    SELECT business_id, $9, 'business.create', jsonb_build_object('name', name), $10 FROM business
)
INSERT INTO dialer.lanes (business_id, partition, max_calls, cap, timeline)
SELECT business_id, dialer.partition_of(business_id), $5, $5, (SELECT max(h.id) FROM dialer.timelines h) FROM business
RETURNING business_id

-- name: get
SELECT b.business_id, b.name, dialer.numbers_of(b.caller_ids) AS caller_ids, b.region, b.timezone, b.account_sid,
       l.max_calls, l.partition, b.max_calls_limit, b.calling_hours, b.retries, b.min_gap_hours, b.max_per_day,
       b.allowed_countries, b.required_registers, b.retention_days, b.script, b.inbound_script, b.stopped_at,
       a.credentials AS account_credentials,
       -- The tables of an old application keep their type.
       (SELECT CASE t.atttypid WHEN 'integer'::regtype THEN 2147483647 ELSE 9223372036854775807 END
        FROM pg_attribute t
        WHERE t.attrelid = 'public.outbound_call_jobs'::regclass AND t.attname = 'lead_id') AS largest_lead_id,
       CASE WHEN i.stopped_at IS NOT NULL
            THEN jsonb_build_object('since', i.stopped_at, 'by', NULL, 'reason', i.stop_reason, 'of_installation', TRUE)
            WHEN b.stopped_at IS NOT NULL
            THEN jsonb_build_object('since', b.stopped_at, 'by', b.stopped_by, 'reason', b.stop_reason,
                                    'of_installation', FALSE) END AS stop
FROM dialer.businesses b JOIN dialer.lanes l USING (business_id) CROSS JOIN dialer.installation i
LEFT JOIN dialer.provider_accounts a ON a.business_id = b.business_id AND a.replaced_at IS NULL
WHERE b.business_id = $1

-- name: used_elsewhere
SELECT w.number FROM unnest($2::text[]) AS w (number)
WHERE EXISTS (SELECT FROM dialer.businesses b
              WHERE b.business_id <> $1
                AND b.caller_ids @> jsonb_build_array(jsonb_build_object('number', w.number)))

-- name: without_account
SELECT count(*) FROM dialer.businesses WHERE account_sid IS NULL

-- name: set_max_calls
SELECT dialer.set_max_calls_v1($1::integer, $2::integer)

-- name: change
SELECT dialer.change_business_v1($1::integer, $2::jsonb, $3::text, $4::text, $5::jsonb)
FROM set_config('dialer.address', $6, TRUE)
