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
ORDER BY j.position LIMIT $9

-- name: page_before
SELECT j.position FROM public.outbound_call_runs r
JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
CROSS JOIN LATERAL (SELECT dialer.job_status(j.status, r.cancel_requested) AS status) s
WHERE r.business_id = $1 AND r.id = $2 AND j.position <= $3
  AND dialer.job_matches(s.status, j.outcome, j.lead_name, coalesce(j.external_id, j.lead_id::text), j.phone,
                         $4::text[], $5::text[], $6::text, $7::text, $8::text[])
ORDER BY j.position DESC LIMIT $9

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
WHERE r.business_id = $1 AND r.id = $2 AND j.id = $3

-- name: attempts
SELECT a.id, a.state, a.sid, a.outcome, a.answered_by, a.duration, a.error_code, a.reason, a.excess, a.created_at,
       a.placed_at, a.ringing_at,
       a.answered_at, a.ended_at, a.hang_up_at, a.withdrawn_at,
       CASE WHEN dialer.is_open(a.state) THEN to_timestamp((a.evidence ->> 'missing')::float8) END AS missing_since
FROM dialer.attempts a
WHERE a.business_id = $1 AND a.run_id = $2 AND a.job_id = $3
  -- The index is by number.
  AND a.phone = (SELECT j.phone FROM public.outbound_call_jobs j WHERE j.id = $3 AND j.business_id = $1)
ORDER BY a.id

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
SELECT business_id FROM public.outbound_call_jobs WHERE id = $2 AND business_id <> $1
