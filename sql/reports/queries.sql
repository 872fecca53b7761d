-- name: of_business
SELECT clock_timestamp() AS now, s.reason, s.since,
       coalesce(cardinality(l.inflight) >= l.max_calls, FALSE) AS is_full, l.max_calls,
       (SELECT min(a.created_at) FROM dialer.attempts a
        WHERE a.id = ANY (l.inflight) AND a.business_id = l.business_id
          AND (a.state = 'unknown'
               OR a.created_at < now() - make_interval(
                   secs => CASE a.state WHEN 'live' THEN $3::float8 ELSE $2::float8 END))) AS unconfirmed_since,
       coalesce(b.stopped_at, i.stopped_at) AS stopped_at, coalesce(b.stop_reason, i.stop_reason) AS stop_reason,
       b.stopped_at IS NULL AND i.stopped_at IS NOT NULL AS by_installation,
       n.name AS register, n.since AS register_since,
       (SELECT (g.imported_at AT TIME ZONE b.timezone)::date FROM dialer.registers g
        WHERE g.business_id = l.business_id AND g.name = n.name AND g.current) AS register_imported_on
FROM dialer.lanes l
JOIN dialer.businesses b ON b.business_id = l.business_id
CROSS JOIN dialer.installation i
LEFT JOIN dialer.stalls s ON s.business_id = l.business_id
LEFT JOIN LATERAL dialer.register_needed_v1(l.business_id) n ON TRUE
WHERE l.business_id = $1

-- name: of_run
SELECT r.schedule_at AT TIME ZONE 'UTC' AS schedule_at,
       dialer.is_spent(r.settings, r.calls_count, r.amount_spent, r.last_error_cause) AS is_spent,
       -- The cheapest call in progress tells what another one may cost.
       coalesce((r.settings -> 'budget' ->> 'amount')::numeric - r.amount_spent
                < (SELECT min(a.max_cost) FROM dialer.lanes l
                   JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
                   WHERE l.business_id = r.business_id AND a.run_id = r.id), FALSE) AS lacks_money,
       (SELECT jsonb_object_agg(w.reason, w.until) FROM dialer.leads_wait_v1($1::integer, $2::integer) w) AS leads_wait,
       (SELECT count(*) FROM public.outbound_call_runs o
        WHERE o.business_id = r.business_id AND o.status = 'running' AND o.queued_count > 0
          AND o.id <> r.id)::integer AS other_runs,
       e.call_seconds, e.calls_ended
FROM public.outbound_call_runs r
CROSS JOIN LATERAL (
    SELECT avg(extract(epoch FROM a.ended_at - a.created_at))::float8 AS call_seconds, count(*)::integer AS calls_ended
    FROM dialer.run_zones z
    CROSS JOIN LATERAL (SELECT j.attempt_id FROM public.outbound_call_jobs j
                        WHERE j.run_id = z.run_id AND j.business_id = z.business_id
                          -- Those in progress come on top: however many they are, a hundred that have ended are seen.
                          AND j.position BETWEEN greatest(z.next_position - 100 - r.in_progress_count, z.first_position)
                          AND z.next_position - 1) t
    JOIN dialer.attempts a ON a.id = t.attempt_id AND a.business_id = z.business_id
    WHERE z.run_id = r.id AND z.business_id = r.business_id AND a.state = 'over' AND a.ended_at IS NOT NULL) e
WHERE r.business_id = $1 AND r.id = $2

-- name: outcomes
SELECT j.outcome, CASE WHEN j.outcome IS NULL THEN dialer.counted_as(j.status, r.cancel_requested) END AS counted,
       count(*)::integer AS n
FROM public.outbound_call_runs r
JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
WHERE r.business_id = $1 AND r.id = $2 GROUP BY 1, 2

-- name: refusals
SELECT f.at, f.rule, f.verdict, f.until, f.detail,
       (SELECT z.zone FROM dialer.run_zones z JOIN public.outbound_call_jobs j ON j.run_id = z.run_id
        WHERE j.id = f.job_id AND j.business_id = f.business_id AND z.business_id = f.business_id
          AND j.position BETWEEN z.first_position AND z.last_position) AS zone
FROM dialer.refusals f
WHERE f.business_id = $1 AND f.run_id = $2 AND f.job_id = $3 ORDER BY f.at, f.rule

-- name: of_job
SELECT clock_timestamp() AS now, r.status AS run_status, r.updated_at AT TIME ZONE 'UTC' AS run_changed_at,
       dialer.is_spent(r.settings, r.calls_count, r.amount_spent, r.last_error_cause) AS is_spent,
       r.schedule_at AT TIME ZONE 'UTC' AS schedule_at,
       r.last_error, r.last_error_cause, z.zone, z.is_closed, z.opens_at, t.due_at, t.reason AS due_reason, j.outcome
FROM public.outbound_call_jobs j
JOIN public.outbound_call_runs r ON r.id = j.run_id AND r.business_id = j.business_id
LEFT JOIN dialer.retries t ON t.job_id = j.id AND t.business_id = j.business_id
LEFT JOIN LATERAL (
    SELECT y.zone, y.opens_at > now() AS is_closed, nullif(y.opens_at, 'infinity') AS opens_at FROM dialer.run_zones y
    WHERE y.run_id = j.run_id AND y.business_id = j.business_id AND j.position BETWEEN y.first_position
      AND y.last_position) z ON TRUE
WHERE j.business_id = $1 AND j.run_id = $2 AND j.id = $3::bigint AND j.status = 'queued' AND NOT r.cancel_requested

-- name: call_in_doubt
SELECT coalesce(to_timestamp((a.evidence ->> 'missing')::float8), a.created_at) AS at,
       coalesce(a.evidence ? 'missing', FALSE) AS is_missing
FROM public.outbound_call_jobs j JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = j.business_id
WHERE j.business_id = $1 AND j.run_id = $2 AND j.id = $3::bigint AND dialer.is_open(a.state)
  AND (a.state = 'unknown' OR a.evidence ? 'missing')

-- name: cancelled
SELECT c.at, c.requested_by, c.with_run
FROM public.outbound_call_jobs j
JOIN public.outbound_call_runs r ON r.id = j.run_id AND r.business_id = j.business_id
CROSS JOIN LATERAL (
    SELECT l.at, l.actor AS requested_by, FALSE AS with_run FROM dialer.audit_log l
    WHERE l.business_id = j.business_id AND l.run_id = j.run_id AND l.job_id = j.id AND l.action = 'job.cancel'
    UNION ALL
    SELECT l.at, l.actor, FALSE FROM dialer.audit_log l
    JOIN dialer.operations o ON o.operation_id = (l.detail ->> 'operation_id')::bigint AND o.business_id = l.business_id
    WHERE l.business_id = j.business_id AND l.run_id = j.run_id AND l.action = 'jobs.cancel' AND j.id = ANY (o.jobs)
    UNION ALL
    -- A lead that was cancelled before its run has not been cancelled with it.
    SELECT r.cancel_requested_at AT TIME ZONE 'UTC', r.cancel_requested_by, TRUE
    WHERE r.cancel_requested_by IS NOT NULL AND coalesce(j.completed_at >= r.cancel_requested_at, TRUE)) c
WHERE j.business_id = $1 AND j.run_id = $2 AND j.id = $3::bigint
  AND dialer.job_status(j.status, r.cancel_requested) = 'cancelled'
ORDER BY c.at LIMIT 1

-- name: lines
SELECT l.max_calls AS max, cardinality(l.inflight) AS in_use, b.timezone,
       (SELECT count(*) FROM public.outbound_call_runs r
        WHERE r.business_id = l.business_id AND r.status = 'running' AND r.started_at IS NOT NULL)::integer AS running,
       -- Runs with leads to call whose worker has said nothing for too long.
       (SELECT min(coalesce(r.lock_ts, r.started_at)) FROM public.outbound_call_runs r
        WHERE r.business_id = l.business_id AND r.status = 'running' AND r.started_at IS NOT NULL
          AND NOT r.cancel_requested AND r.queued_count > 0
          AND coalesce(r.lock_ts, r.started_at) < dialer.utc() - make_interval(secs => $2::float8)
       ) AT TIME ZONE 'UTC' AS undriven_since,
       least((SELECT min(c.seen_at) FROM dialer.call_sids c
              WHERE c.business_id = l.business_id AND c.excess AND c.over_at IS NULL),
             (SELECT min(a.created_at) FROM dialer.attempts a
              WHERE a.business_id = l.business_id AND a.excess AND dialer.is_open(a.state))) AS excess_since
FROM dialer.lanes l JOIN dialer.businesses b ON b.business_id = l.business_id WHERE l.business_id = $1

-- name: today
SELECT coalesce(sum(d.n), 0)::integer AS calls,
       coalesce(jsonb_object_agg(d.outcome, d.n) FILTER (WHERE d.outcome IS NOT NULL), '{}') AS outcomes
FROM (SELECT CASE a.state WHEN 'over' THEN dialer.job_outcome(a.outcome, a.answered_by) END AS outcome, count(*) AS n
      FROM dialer.attempts a
      WHERE a.business_id = $1 AND a.created_at >= $2 AND a.state NOT IN ('not_sent', 'not_placed')
      GROUP BY 1) d
