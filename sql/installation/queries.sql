-- name: businesses
SELECT b.business_id, b.name, l.max_calls, cardinality(l.inflight) AS in_use, b.account_sid, b.stopped_at,
       b.stop_reason, s.reason AS stall, s.since AS stalled_since, r.running, r.undriven_since, r.paused_itself,
       r.pause_cause, u.unknown, u.unknown_since, x.excess_since, c.command_since, e.event_since,
       w.failing_since AS webhooks_failing_since
FROM dialer.lanes l
JOIN dialer.businesses b ON b.business_id = l.business_id
LEFT JOIN dialer.stalls s ON s.business_id = l.business_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE o.status = 'running')::integer AS running,
           -- Those with leads to call whose worker has said nothing for too long.
           min(coalesce(o.lock_ts, o.started_at)) FILTER (
               WHERE o.status = 'running' AND NOT o.cancel_requested AND o.queued_count > 0 AND o.started_at IS NOT NULL
                 AND coalesce(o.lock_ts, o.started_at) < dialer.utc() - make_interval(secs => $1::float8))
               AT TIME ZONE 'UTC' AS undriven_since,
           count(*) FILTER (WHERE o.status = 'paused' AND o.last_error_cause IS NOT NULL)::integer AS paused_itself,
           (array_agg(o.last_error_cause ORDER BY o.updated_at DESC) FILTER (
               WHERE o.status = 'paused' AND o.last_error_cause IS NOT NULL))[1] AS pause_cause
    FROM public.outbound_call_runs o
    WHERE o.business_id = l.business_id AND o.status IN ('running', 'paused')) r ON TRUE
LEFT JOIN LATERAL (
    SELECT count(*)::integer AS unknown, min(a.send_by) AS unknown_since FROM dialer.attempts a
    WHERE a.id = ANY (l.inflight) AND a.business_id = l.business_id AND a.state = 'unknown') u ON TRUE
LEFT JOIN LATERAL (
    SELECT min(k.seen_at) AS excess_since FROM dialer.call_sids k
    WHERE k.business_id = l.business_id AND k.excess AND k.over_at IS NULL) x ON TRUE
LEFT JOIN LATERAL (
    SELECT min(i.received_at) AS command_since FROM dialer.inbox i
    WHERE i.business_id = l.business_id AND i.applied_at IS NULL) c ON TRUE
LEFT JOIN (
    SELECT o.business_id, min(o.at) AS event_since FROM dialer.outbox o GROUP BY o.business_id) e
    ON e.business_id = l.business_id
LEFT JOIN LATERAL (
    SELECT min(h.failing_since) AS failing_since FROM dialer.webhooks h
    WHERE h.business_id = l.business_id AND h.deleted_at IS NULL) w ON TRUE
ORDER BY b.business_id

-- name: workers
SELECT w.name, w.started_at, w.lease_until, w.leaving, w.lease_until > now() AS is_live,
       (SELECT count(*) FROM dialer.partitions p WHERE p.owner = w.incarnation)::integer AS partitions
FROM dialer.workers w WHERE w.lease_until > now() - interval '1 hour' ORDER BY w.lease_until > now() DESC, w.name

-- name: state
SELECT now() AS now, i.stopped_at, i.stop_reason,
       (SELECT count(*) FROM dialer.partitions p
        WHERE NOT EXISTS (SELECT FROM dialer.workers w
                          WHERE w.incarnation = p.owner AND w.lease_until > now()))::integer AS unowned,
       (SELECT min(x.received_at) FROM dialer.inbox x WHERE x.applied_at IS NULL) AS command_since,
       (SELECT min(o.at) FROM dialer.outbox o) AS event_since,
       (SELECT count(*) FROM dialer.outbox)::integer AS events
FROM dialer.installation i

-- name: deliveries
SELECT e.delivered, e.failed, w.waiting, w.oldest_seconds,
       (SELECT count(*) FROM dialer.webhooks h
        WHERE h.failing_since IS NOT NULL AND h.deleted_at IS NULL
          AND h.disabled_at IS NULL)::integer AS failing_webhooks
FROM (SELECT count(*)::integer AS waiting,
             coalesce(extract(epoch FROM now() - min(d.created_at)), 0)::float8 AS oldest_seconds
      FROM dialer.deliveries d WHERE d.status = 'pending') w,
     (SELECT count(*) FILTER (WHERE d.status = 'delivered')::integer AS delivered,
             count(*) FILTER (WHERE d.status = 'failed')::integer AS failed
      FROM dialer.deliveries d WHERE d.ended_at > now() - make_interval(secs => $1::float8)) e

-- name: figures
WITH live AS (
    SELECT w.incarnation FROM dialer.workers w WHERE w.lease_until > now()
), slots AS (
    SELECT coalesce(sum(cardinality(l.inflight)), 0)::integer AS in_use, coalesce(sum(l.max_calls), 0)::integer AS most
    FROM dialer.lanes l
), runs AS (
    -- Those with leads to call whose worker has said nothing for too long are undriven.
    SELECT count(*)::integer AS running,
           count(*) FILTER (WHERE NOT r.cancel_requested AND r.queued_count > 0
                              AND coalesce(r.lock_ts, r.started_at) < dialer.utc() - make_interval(secs => $1::float8)
                           )::integer AS undriven
    FROM public.outbound_call_runs r WHERE r.status = 'running' AND r.started_at IS NOT NULL
), unknown AS (
    SELECT count(*)::integer AS calls, min(a.send_by) AS since
    FROM dialer.lanes l JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
    WHERE a.state = 'unknown'
), transactions AS (
    SELECT a.xact_start AS since FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
    UNION ALL
    SELECT p.prepared FROM pg_prepared_xacts p WHERE p.database = current_database()
)
SELECT (SELECT count(*) FROM live)::integer AS workers,
       (SELECT count(*) FROM dialer.partitions p
        WHERE NOT EXISTS (SELECT FROM live WHERE live.incarnation = p.owner))::integer AS partitions_unowned,
       slots.in_use AS slots_in_use, slots.most AS slots_most, runs.running AS runs_running,
       runs.undriven AS runs_undriven, unknown.calls AS unknown_calls,
       coalesce(extract(epoch FROM now() - unknown.since), 0)::float8 AS unknown_oldest_seconds,
       (SELECT count(*) FROM dialer.call_sids k WHERE k.excess AND k.over_at IS NULL)::integer AS excess_calls,
       (SELECT coalesce(extract(epoch FROM now() - min(x.received_at)), 0)
        FROM dialer.inbox x WHERE x.applied_at IS NULL)::float8 AS command_oldest_seconds,
       coalesce((SELECT extract(epoch FROM now() - o.at) FROM dialer.outbox o ORDER BY o.id LIMIT 1),
                0)::float8 AS outbox_oldest_seconds,
       (SELECT count(*) FROM (SELECT FROM dialer.outbox LIMIT 10000) o)::integer AS outbox_events,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(t.since)), 0)
        FROM transactions t)::float8 AS transaction_oldest_seconds,
       (SELECT coalesce(max(r.seconds), 0) FROM dialer.row_locks_v1() r)::float8 AS row_locks_oldest_seconds,
       (SELECT coalesce(jsonb_object_agg(s.reason, s.businesses), '{}')
        FROM (SELECT q.reason, count(*) AS businesses FROM dialer.stalls q GROUP BY q.reason) s) AS stalled,
       (SELECT coalesce(jsonb_object_agg(f.rule, f.leads), '{}')
        FROM (SELECT q.rule, count(*) AS leads FROM dialer.refusals q
              WHERE q.at > now() - make_interval(secs => $2::float8) GROUP BY q.rule) f) AS refused,
       (i.stopped_at IS NOT NULL)::integer AS stopped
FROM dialer.installation i, slots, runs, unknown
