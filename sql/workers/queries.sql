-- name: join
SELECT dialer.join_v1($1::uuid, $2::text, $3::float8)

-- name: renew
SELECT dialer.renew_v1($1::uuid, $2::float8) AS renewed, extract(epoch FROM clock_timestamp())::float8 AS at

-- name: step_down
SELECT dialer.step_down_v1($1::uuid)

-- name: leave
SELECT dialer.leave_v1($1::uuid)

-- name: live
SELECT incarnation FROM dialer.workers WHERE lease_until > now() AND NOT leaving ORDER BY incarnation

-- name: partitions
SELECT p.partition, p.owner, p.epoch, w.incarnation IS NOT NULL AS owned,
       coalesce(extract(epoch FROM now() - p.taken_at), 0)::float8 AS held_seconds
FROM dialer.partitions p LEFT JOIN dialer.workers w ON w.incarnation = p.owner AND w.lease_until > now()
ORDER BY p.partition

-- name: take_over
SELECT partition, epoch FROM dialer.take_over_v1($1::uuid, $2::integer[])

-- name: give_back
SELECT * FROM dialer.give_back_v1($1::uuid, $2::integer[])

-- name: heartbeat
SELECT dialer.heartbeat_v1($1::uuid, $2::text, make_interval(secs => $3::float8), $4::integer[])

-- name: stalls
SELECT dialer.stalls_v1($1::uuid, $2::integer[], $3::text[], $4::text[], $5::float8[])

-- name: busy_businesses
SELECT l.business_id, l.partition, b.account_sid, dialer.stored_accounts(l.business_id) AS accounts,
       dialer.numbers_of(b.caller_ids) AS caller_ids, l.max_calls
FROM dialer.lanes l JOIN dialer.businesses b ON b.business_id = l.business_id
WHERE l.partition = ANY ($1::smallint[])
  AND (cardinality(l.inflight) > 0 OR EXISTS (SELECT FROM public.outbound_call_runs r
                                              WHERE r.business_id = l.business_id AND r.status = 'running'
                                              AND r.started_at IS NOT NULL)
       OR EXISTS (SELECT FROM dialer.attempts e
                  WHERE e.business_id = l.business_id AND e.excess AND dialer.is_open(e.state)))

-- name: business
SELECT l.business_id, l.partition, b.account_sid, dialer.stored_accounts(l.business_id) AS accounts,
       dialer.numbers_of(b.caller_ids) AS caller_ids, l.max_calls
FROM dialer.lanes l JOIN dialer.businesses b ON b.business_id = l.business_id WHERE l.business_id = $1

-- name: progress
SELECT r.business_id, r.id AS run_id, r.status, r.total_leads, r.queued_count AS queued,
       r.in_progress_count AS in_progress, r.completed_count AS completed,
       r.failed_count AS failed, r.cancelled_count AS cancelled, r.skipped_count AS skipped, r.cancel_requested
FROM unnest($1::integer[], $2::integer[]) AS wanted (business_id, run_id)
JOIN public.outbound_call_runs r ON r.id = wanted.run_id AND r.business_id = wanted.business_id

-- name: on_the_line
SELECT a.business_id, a.run_id, a.job_id, a.id AS attempt_id, a.state,
       coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id
FROM unnest($1::integer[], $2::integer[]) AS wanted (business_id, run_id)
JOIN dialer.lanes l ON l.business_id = wanted.business_id
JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id AND a.run_id = wanted.run_id
JOIN public.outbound_call_jobs j ON j.id = a.job_id AND j.business_id = a.business_id
ORDER BY a.id

-- name: pause_run
SELECT dialer.pause_refused_v1($1::integer, $2::integer, $3::text, $4::jsonb)
