-- name: page
SELECT j.id, coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id, j.phone, j.lead_name, j.outcome,
       j.attempts, j.twilio_call_sid, j.started_at, j.completed_at, j.error_message, j.position, j.reason, s.status,
       CASE WHEN j.status = 'queued' AND s.status = 'cancelled' THEN r.cancel_requested_at
           ELSE j.completed_at END AS ended_at,
       a.state AS attempt_state, a.sid,
       -- Of the call that the error is about.
       CASE WHEN a.state = 'over' AND (j.status = 'failed' OR j.error_message IS NOT NULL)
            THEN a.error_code END AS error_code,
       CASE WHEN a.state = 'over' THEN a.duration END AS duration
FROM public.outbound_call_runs r
JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
LEFT JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = j.business_id
CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
WHERE r.business_id = $1 AND r.id = $2 AND j.position > $3
  AND dialer.job_matches(s.status, j.outcome, j.lead_name, coalesce(j.external_id, j.lead_id::text), j.phone,
                         $4::text[], $5::text[], $6::text, $7::text, $8::text[])
ORDER BY j.position LIMIT $9

-- name: page_for_people
SELECT -- as `page`, with the length of the last call and what the list said of the lead
       j.id, coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id, j.phone, j.lead_name, j.outcome,
       j.attempts, j.twilio_call_sid, j.started_at, j.completed_at, j.error_message, j.position, j.reason, s.status,
       CASE WHEN j.status = 'queued' AND s.status = 'cancelled' THEN r.cancel_requested_at
           ELSE j.completed_at END AS ended_at,
       a.state AS attempt_state, a.sid,
       CASE WHEN a.state = 'over' AND (j.status = 'failed' OR j.error_message IS NOT NULL)
            THEN a.error_code END AS error_code,
       a.created_at AS called_at, CASE WHEN a.answered_at IS NOT NULL THEN a.duration END AS seconds, v.variables
FROM public.outbound_call_runs r
JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
LEFT JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = j.business_id
LEFT JOIN dialer.lead_variables v ON v.run_id = j.run_id AND v.position = j.position AND v.business_id = j.business_id
CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
WHERE r.business_id = $1 AND r.id = $2 AND j.position > $3
  AND dialer.job_matches(s.status, j.outcome, j.lead_name, coalesce(j.external_id, j.lead_id::text), j.phone,
                         $4::text[], $5::text[], $6::text, $7::text, $8::text[])
  AND ($9::bigint[] IS NULL OR j.id = ANY ($9))
ORDER BY j.position LIMIT $10

-- name: page_before
SELECT j.position FROM public.outbound_call_runs r
JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
WHERE r.business_id = $1 AND r.id = $2 AND j.position <= $3
  AND dialer.job_matches(s.status, j.outcome, j.lead_name, coalesce(j.external_id, j.lead_id::text), j.phone,
                         $4::text[], $5::text[], $6::text, $7::text, $8::text[])
ORDER BY j.position DESC LIMIT $9

-- As `page`, sorted; $3 is the position of the job before the first one, 0 for the first page. The attempts of all jobs
-- are read only for the order by length.
-- name: sorted_page
WITH place AS MATERIALIZED (
    SELECT k.*, j.position FROM public.outbound_call_runs r
    JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
    LEFT JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = j.business_id AND a.state = 'over'
    CROSS JOIN LATERAL dialer.sort_key(
        $9::text, j.lead_name, j.phone, dialer.job_status(j.status, r.cancel_requested), j.outcome, a.duration,
        j.attempts, j.started_at) k
    WHERE r.business_id = $1 AND r.id = $2 AND j.position = $3
), sorted AS MATERIALIZED (
    SELECT j.position, k.is_empty, k.up, k.down, k.number FROM public.outbound_call_runs r
    JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
    CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
    CROSS JOIN LATERAL (SELECT CASE WHEN $9::text IN ('length', '-length') THEN (
        SELECT a.duration FROM dialer.attempts a
        WHERE a.id = j.attempt_id AND a.business_id = j.business_id AND a.state = 'over') END AS seconds) l
    CROSS JOIN LATERAL dialer.sort_key(
        $9::text, j.lead_name, j.phone, s.status, j.outcome, l.seconds, j.attempts, j.started_at) k
    LEFT JOIN place c ON TRUE
    WHERE r.business_id = $1 AND r.id = $2
      AND dialer.job_matches(s.status, j.outcome, j.lead_name, coalesce(j.external_id, j.lead_id::text), j.phone,
                             $4::text[], $5::text[], $6::text, $7::text, $8::text[])
      AND (c.position IS NULL OR dialer.sorts_after(
          k.is_empty, k.up, k.down, k.number, j.position, c.is_empty, c.up, c.down, c.number, c.position))
    ORDER BY k.is_empty, k.up, k.down DESC, k.number, j.position LIMIT $10
)
SELECT j.id, coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id, j.phone, j.lead_name, j.outcome,
       j.attempts, j.twilio_call_sid, j.started_at, j.completed_at, j.error_message, j.position, j.reason, s.status,
       CASE WHEN j.status = 'queued' AND s.status = 'cancelled' THEN r.cancel_requested_at
           ELSE j.completed_at END AS ended_at,
       a.state AS attempt_state, a.sid,
       CASE WHEN a.state = 'over' AND (j.status = 'failed' OR j.error_message IS NOT NULL)
            THEN a.error_code END AS error_code,
       CASE WHEN a.state = 'over' THEN a.duration END AS duration
FROM sorted k
JOIN public.outbound_call_runs r ON r.id = $2 AND r.business_id = $1
CROSS JOIN LATERAL (
    SELECT * FROM public.outbound_call_jobs o
    WHERE o.run_id = $2 AND o.business_id = $1 AND o.position = k.position LIMIT 1) j
LEFT JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = j.business_id
CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
ORDER BY k.is_empty, k.up, k.down DESC, k.number, j.position

-- name: sorted_page_before
WITH place AS MATERIALIZED (
    SELECT k.*, j.position FROM public.outbound_call_runs r
    JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
    LEFT JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = j.business_id AND a.state = 'over'
    CROSS JOIN LATERAL dialer.sort_key(
        $9::text, j.lead_name, j.phone, dialer.job_status(j.status, r.cancel_requested), j.outcome, a.duration,
        j.attempts, j.started_at) k
    WHERE r.business_id = $1 AND r.id = $2 AND j.position = $3
)
SELECT j.position FROM public.outbound_call_runs r
JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
CROSS JOIN LATERAL (SELECT CASE WHEN $9::text IN ('length', '-length') THEN (
    SELECT a.duration FROM dialer.attempts a
    WHERE a.id = j.attempt_id AND a.business_id = j.business_id AND a.state = 'over') END AS seconds) l
CROSS JOIN LATERAL dialer.sort_key(
    $9::text, j.lead_name, j.phone, s.status, j.outcome, l.seconds, j.attempts, j.started_at) k
CROSS JOIN place c
WHERE r.business_id = $1 AND r.id = $2
  AND dialer.job_matches(s.status, j.outcome, j.lead_name, coalesce(j.external_id, j.lead_id::text), j.phone,
                         $4::text[], $5::text[], $6::text, $7::text, $8::text[])
  AND NOT dialer.sorts_after(
      k.is_empty, k.up, k.down, k.number, j.position, c.is_empty, c.up, c.down, c.number, c.position)
ORDER BY k.is_empty DESC, k.up DESC, k.down, k.number DESC, j.position DESC LIMIT $10

-- name: count
SELECT count(*)::integer FROM public.outbound_call_runs r
JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
WHERE r.business_id = $1 AND r.id = $2
  AND dialer.job_matches(s.status, j.outcome, j.lead_name, coalesce(j.external_id, j.lead_id::text), j.phone,
                         $3::text[], $4::text[], $5::text, $6::text, $7::text[])

-- name: get
SELECT j.id, coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id, j.phone, j.lead_name, j.outcome,
       j.attempts, j.twilio_call_sid, j.started_at, j.completed_at, j.error_message, j.position, j.reason, s.status,
       CASE WHEN j.status = 'queued' AND s.status = 'cancelled' THEN r.cancel_requested_at
           ELSE j.completed_at END AS ended_at,
       a.state AS attempt_state, a.sid,
       -- Of the call that the error is about.
       CASE WHEN a.state = 'over' AND (j.status = 'failed' OR j.error_message IS NOT NULL)
            THEN a.error_code END AS error_code,
       CASE WHEN a.state = 'over' THEN a.duration END AS duration
FROM public.outbound_call_runs r
JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
LEFT JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = j.business_id
CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
WHERE r.business_id = $1 AND r.id = $2 AND j.id = $3::bigint

-- name: attempts
SELECT a.id, a.state, a.sid, a.outcome, a.answered_by, a.duration, a.error_code, a.reason, a.excess, a.created_at,
       a.placed_at, a.ringing_at,
       a.answered_at, a.ended_at, a.hang_up_at, a.withdrawn_at,
       -- The request is audited in its own transaction, which began at hang_up_at.
       (SELECT l.actor FROM dialer.audit_log l
        WHERE l.business_id = a.business_id AND l.run_id = a.run_id AND coalesce(l.job_id, a.job_id) = a.job_id
          AND (l.detail ->> 'hang_up')::boolean AND l.at BETWEEN a.hang_up_at AND a.hang_up_at + interval '1 minute'
        ORDER BY l.id LIMIT 1) AS hang_up_by,
       CASE WHEN a.state = 'over' AND a.minute_price IS NOT NULL
            THEN dialer.cost_of(a.state, a.outcome, a.duration, a.minute_price, a.max_cost) END AS cost,
       coalesce(r.spent_currency, r.settings -> 'budget' ->> 'currency') AS currency, a.price, a.price_unit,
       CASE WHEN dialer.is_open(a.state) THEN to_timestamp((a.evidence ->> 'missing')::float8) END AS missing_since
FROM dialer.attempts a JOIN public.outbound_call_runs r ON r.id = a.run_id AND r.business_id = a.business_id
WHERE a.business_id = $1 AND a.run_id = $2 AND a.job_id = $3::bigint
  -- The index is by number.
  AND a.phone = (SELECT j.phone FROM public.outbound_call_jobs j WHERE j.id = $3::bigint AND j.business_id = $1)
ORDER BY a.id

-- name: calls_without_price
SELECT a.id AS attempt_id, a.sid, a.account_sid FROM dialer.attempts a
WHERE a.business_id = $1 AND a.run_id = $2 AND a.job_id = $3 AND a.state = 'over' AND a.outcome = 'completed'
  AND a.sid IS NOT NULL AND a.price IS NULL
  AND a.phone = (SELECT j.phone FROM public.outbound_call_jobs j WHERE j.id = $3 AND j.business_id = $1)
ORDER BY a.id DESC LIMIT $4

-- name: keep_price
UPDATE dialer.attempts a SET price = $3, price_unit = $4 WHERE a.business_id = $1 AND a.id = $2

-- name: callbacks
SELECT c.attempt_id, c.received_at, c.fields, c.verdict, c.answer FROM dialer.callbacks c
WHERE c.business_id = $1 AND c.attempt_id = ANY ($2::bigint[]) ORDER BY c.id

-- name: recordings
SELECT r.attempt_id, r.recording_sid, r.url, r.duration_seconds FROM dialer.recordings r
WHERE r.business_id = $1 AND r.attempt_id = ANY ($2::bigint[]) ORDER BY r.received_at, r.recording_sid

-- name: on_every_line
SELECT j.id, a.run_id, coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id, j.phone, j.lead_name,
       j.outcome, j.attempts, j.twilio_call_sid, a.created_at AT TIME ZONE 'UTC' AS started_at,
       j.completed_at, j.error_message, j.position, j.reason, j.status, NULL::timestamp AS ended_at,
       a.state AS attempt_state, a.sid,
       CASE WHEN dialer.is_open(a.state) THEN to_timestamp((a.evidence ->> 'missing')::float8) END AS missing_since
FROM dialer.lanes l
JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
JOIN public.outbound_call_jobs j ON j.id = a.job_id AND j.business_id = a.business_id
WHERE l.business_id = $1 ORDER BY a.id

-- name: foreign
SELECT business_id FROM public.outbound_call_jobs WHERE id = $2::bigint AND business_id <> $1
