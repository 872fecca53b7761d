-- name: known
SELECT t.n::integer AS n, d.is_listed, f.is_refused, coalesce(e.calls, '{}') AS calls
FROM unnest($2::text[]) WITH ORDINALITY AS t (phone, n)
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM dialer.do_not_call x
                   WHERE x.business_id = $1 AND x.phone = t.phone
                     AND (x.register_id = 0 OR x.register_id IN (SELECT g.register_id FROM dialer.registers g
                                                                 WHERE g.business_id = $1 AND g.current))) AS is_listed
) d
CROSS JOIN LATERAL (
    SELECT array_agg(o.created_at) AS calls FROM dialer.attempts o
    WHERE $3::timestamptz IS NOT NULL AND o.business_id = $1 AND o.phone = t.phone AND o.created_at > $3
      AND o.state NOT IN ('not_sent', 'not_placed')
) e
CROSS JOIN LATERAL (
    SELECT coalesce(max(o.created_at) FILTER (WHERE dialer.is_number_fault(o.error_code))
                    > coalesce(max(o.created_at) FILTER (WHERE dialer.went_through(o.outcome)), '-infinity'),
                    FALSE) AS is_refused
    FROM dialer.attempts o
    WHERE o.business_id = $1 AND o.phone = t.phone AND o.created_at >= now() - interval '90 days'
) f
WHERE d.is_listed OR f.is_refused OR e.calls IS NOT NULL

-- name: outlook
SELECT clock_timestamp() AS now, b.stopped_at IS NOT NULL OR i.stopped_at IS NOT NULL AS is_stopped,
       EXISTS (SELECT FROM dialer.stalls s
               WHERE s.business_id = b.business_id AND s.reason = 'account') AS lacks_account,
       EXISTS (SELECT FROM dialer.workers w WHERE w.lease_until > now()) AS has_worker,
       coalesce((SELECT jsonb_object_agg(g.name, extract(epoch FROM g.imported_at)) FROM dialer.registers g
                 WHERE g.business_id = b.business_id AND g.current), '{}') AS registers,
       (SELECT avg(extract(epoch FROM a.ended_at - a.created_at))::float8
        FROM (SELECT r.id FROM public.outbound_call_runs r
              WHERE r.business_id = $1 AND r.started_at IS NOT NULL ORDER BY r.id DESC LIMIT 5) r
        JOIN dialer.run_zones z ON z.run_id = r.id AND z.business_id = $1
        JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = $1
            AND j.position BETWEEN greatest(z.next_position - 100, z.first_position) AND z.next_position - 1
        JOIN dialer.attempts a ON a.id = j.attempt_id AND a.business_id = $1
        WHERE a.state = 'over' AND a.ended_at IS NOT NULL) AS call_seconds
FROM dialer.businesses b CROSS JOIN dialer.installation i WHERE b.business_id = $1
