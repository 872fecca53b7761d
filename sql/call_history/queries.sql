-- name: newest
SELECT a.id AS attempt_id, a.job_id, j.lead_name AS name, j.phone, a.ended_at, a.duration,
       dialer.job_outcome(a.outcome, a.answered_by) AS outcome
FROM dialer.attempts a JOIN public.outbound_call_jobs j ON j.id = a.job_id AND j.business_id = a.business_id
-- `created_at` bounds the part of the index that is read: the attempts of other runs of the business are in it too.
WHERE a.business_id = $1 AND a.run_id = $2 AND a.created_at BETWEEN $3 AND $4 AND a.state = 'over'
ORDER BY a.created_at DESC LIMIT $5

-- name: just_ended
SELECT a.id AS attempt_id, a.job_id, j.lead_name AS name, j.phone, a.ended_at, a.duration,
       dialer.job_outcome(a.outcome, a.answered_by) AS outcome
FROM dialer.attempts a JOIN public.outbound_call_jobs j ON j.id = a.job_id AND j.business_id = a.business_id
WHERE a.business_id = $1 AND a.run_id = $2 AND a.created_at > now() - make_interval(secs => $3::float8)
  AND a.state = 'over' AND a.ended_at > now() - make_interval(secs => $4::float8)
ORDER BY a.ended_at DESC

-- name: counted
SELECT floor(extract(epoch FROM a.created_at - $3::timestamptz) / $5::float8)::integer AS n,
       CASE a.state WHEN 'over' THEN dialer.job_outcome(a.outcome, a.answered_by) END AS outcome,
       count(*)::integer AS calls
FROM dialer.attempts a
WHERE a.business_id = $1 AND a.run_id = $2 AND a.created_at >= $3 AND a.created_at < $4
  AND a.state NOT IN ('not_sent', 'not_placed')
GROUP BY 1, 2

-- name: by_hour
SELECT extract(dow FROM a.created_at AT TIME ZONE $3)::integer AS weekday,
       extract(hour FROM a.created_at AT TIME ZONE $3)::integer AS hour, count(*)::integer AS calls,
       (count(*) FILTER (WHERE dialer.job_outcome(a.outcome, a.answered_by) IN ('human', 'answered')))::integer
           AS answered
FROM dialer.attempts a
WHERE a.business_id = $1 AND a.created_at >= $2 AND a.state = 'over'
GROUP BY 1, 2

-- name: of_phone
SELECT a.run_id, a.job_id, r.name AS run_name, a.created_at AS at,
       CASE a.state WHEN 'over' THEN dialer.job_outcome(a.outcome, a.answered_by) END AS outcome
FROM dialer.attempts a JOIN public.outbound_call_runs r ON r.id = a.run_id AND r.business_id = a.business_id
WHERE a.business_id = $1 AND a.phone = $2 AND a.job_id <> $3 AND a.state NOT IN ('not_sent', 'not_placed')
ORDER BY a.created_at DESC LIMIT $4

-- name: variables
SELECT v.variables FROM dialer.lead_variables v WHERE v.business_id = $1 AND v.run_id = $2 AND v.position = $3
