-- name: claim
SELECT * FROM dialer.claim_v1($1::uuid, $2::uuid, $3::integer[], $4::bigint[], $5::integer[], $6::float8, $7::integer,
                              $8::integer, $9::text)

-- name: record
SELECT * FROM dialer.record_v1($1::jsonb)

-- name: open_of_partitions
SELECT a.id AS attempt_id, a.business_id, a.run_id, a.job_id, a.state, a.nonce, a.token, a.sid, a.phone,
       -- The old application may have called from any number.
       CASE WHEN a.reason IS DISTINCT FROM 'called by the old application' THEN a.from_number END AS from_number,
       a.account_sid,
       a.send_by, a.created_at, a.checks, a.hang_up_at IS NOT NULL AS hang_up, a.evidence, l.partition,
       greatest(extract(epoch FROM a.next_check_at - clock_timestamp()), 0)::float8 AS check_in,
       clock_timestamp() AS as_of
FROM dialer.lanes l
CROSS JOIN LATERAL (SELECT unnest(l.inflight) AS id
                    UNION ALL
                    -- An attempt beyond the limit holds no slot, but its call has to be hung up too.
                    SELECT e.id FROM dialer.attempts e
                    WHERE e.business_id = l.business_id AND e.excess AND dialer.is_open(e.state)) o
JOIN dialer.attempts a ON a.id = o.id AND a.business_id = l.business_id
WHERE l.partition = ANY ($1::smallint[])
ORDER BY a.id

-- name: states
SELECT a.id AS attempt_id, a.business_id, a.run_id, a.job_id, a.state, a.nonce, a.token, a.sid, a.phone,
       -- The old application may have called from any number.
       CASE WHEN a.reason IS DISTINCT FROM 'called by the old application' THEN a.from_number END AS from_number,
       a.account_sid,
       a.send_by, a.created_at, a.checks, a.hang_up_at IS NOT NULL AS hang_up, a.evidence, l.partition,
       greatest(extract(epoch FROM a.next_check_at - clock_timestamp()), 0)::float8 AS check_in,
       clock_timestamp() AS as_of
FROM unnest($1::integer[], $2::bigint[]) AS wanted (business_id, attempt_id)
JOIN dialer.attempts a ON a.id = wanted.attempt_id AND a.business_id = wanted.business_id
JOIN dialer.lanes l ON l.business_id = a.business_id

-- name: lost_claim
SELECT a.business_id, a.id AS attempt_id, a.nonce
FROM dialer.lanes l JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
WHERE l.business_id = ANY ($1::integer[]) AND a.token = $2::uuid AND a.state = 'placing'

-- name: placing_of_run
SELECT a.business_id, a.id AS attempt_id, a.nonce, a.state, clock_timestamp() > a.send_by + interval '2 seconds' AS past
FROM dialer.lanes l JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
WHERE l.business_id = $1 AND a.run_id = $2 AND a.state IN ('placing', 'unknown')

-- name: check_later
UPDATE dialer.attempts SET next_check_at = clock_timestamp() + make_interval(secs => $3::float8),
    checks = least(checks + 1, 1000),
    evidence = CASE WHEN evidence ? 'confused' THEN coalesce($4::jsonb, evidence) || '{"confused": true}'
        ELSE coalesce($4::jsonb, evidence) END
WHERE business_id = $1 AND id = $2 AND state = $5

-- name: lookup
SELECT a.account_sid, a.run_id, a.job_id,
       ARRAY(SELECT p.sealed FROM dialer.provider_accounts p
             WHERE p.business_id = a.business_id AND p.account_sid = a.account_sid ORDER BY p.id DESC) AS sealed
FROM dialer.attempts a
WHERE a.business_id = $1 AND a.id = $2 AND a.nonce = $3::uuid

-- name: add_recording
INSERT INTO dialer.recordings (business_id, attempt_id, recording_sid, url, duration_seconds)
SELECT a.business_id, a.id, $3, $4, $5 FROM dialer.attempts a WHERE a.business_id = $1 AND a.id = $2 FOR KEY SHARE
ON CONFLICT (attempt_id, recording_sid) DO NOTHING

-- name: unbound_rivals
SELECT count(*) FROM dialer.lanes l JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
WHERE a.id <> $1 AND a.phone = $2 AND a.account_sid IS NOT DISTINCT FROM $4 AND a.state IN ('placing', 'unknown')
  AND ($3::text IS NULL OR a.from_number = $3 OR a.reason = 'called by the old application')

-- name: bound_sids
SELECT sid, attempt_id FROM dialer.call_sids WHERE sid = ANY ($1::text[])

-- name: withdraw
UPDATE dialer.attempts SET withdrawn_at = coalesce(withdrawn_at, clock_timestamp())
WHERE business_id = $1 AND id = $2 AND state IN ('unknown', 'placed')

-- name: excess_calls
SELECT c.business_id, c.attempt_id, c.sid, a.account_sid
FROM dialer.lanes l
JOIN dialer.call_sids c ON c.business_id = l.business_id AND c.excess AND c.over_at IS NULL
JOIN dialer.attempts a ON a.id = c.attempt_id AND a.business_id = c.business_id
WHERE l.partition = ANY ($1::smallint[])
ORDER BY c.seen_at LIMIT $2

-- name: excess_over
UPDATE dialer.call_sids SET over_at = clock_timestamp()
WHERE business_id = $1 AND sid = $2 AND excess AND over_at IS NULL
