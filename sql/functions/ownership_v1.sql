-- Who drives what. No promise rests on it: a claim reads the fence, a fact needs none.

CREATE OR REPLACE FUNCTION dialer.join_v1(p_incarnation uuid, p_name text, p_lease_seconds double precision) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO dialer.workers (incarnation, name, lease_until) VALUES (p_incarnation, p_name, now() + make_interval(secs => p_lease_seconds))
$$;

-- Renew the lease; FALSE when it has run out: then this incarnation is dead for good.
CREATE OR REPLACE FUNCTION dialer.renew_v1(p_incarnation uuid, p_lease_seconds double precision) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dialer.workers w SET lease_until = now() + make_interval(secs => p_lease_seconds)
    WHERE w.incarnation = p_incarnation AND w.lease_until > now();
    RETURN FOUND;
END
$$;

-- Take partitions that no live worker holds. Returns those taken, with their new epochs.
CREATE OR REPLACE FUNCTION dialer.take_over_v1(p_incarnation uuid, p_partitions integer[])
RETURNS TABLE (partition smallint, epoch bigint)
LANGUAGE sql AS $$
    UPDATE dialer.partitions p SET owner = p_incarnation, epoch = p.epoch + 1, taken_at = now()
    FROM (SELECT q.partition FROM dialer.partitions q WHERE q.partition = ANY (p_partitions) ORDER BY q.partition FOR UPDATE SKIP LOCKED) held
    WHERE p.partition = held.partition
      AND NOT EXISTS (SELECT FROM dialer.workers w WHERE w.incarnation = p.owner AND w.lease_until > now())
      AND EXISTS (SELECT FROM dialer.workers w WHERE w.incarnation = p_incarnation AND w.lease_until > now())
    RETURNING p.partition, p.epoch
$$;

-- Give back partitions, but only one's own.
CREATE OR REPLACE FUNCTION dialer.give_back_v1(p_incarnation uuid, p_partitions integer[]) RETURNS SETOF smallint
LANGUAGE sql AS $$
    UPDATE dialer.partitions p SET owner = NULL, taken_at = now()
    FROM (SELECT q.partition FROM dialer.partitions q WHERE q.partition = ANY (p_partitions) AND q.owner = p_incarnation
          ORDER BY q.partition FOR UPDATE) held
    WHERE p.partition = held.partition
    RETURNING p.partition
$$;

CREATE OR REPLACE FUNCTION dialer.leave_v1(p_incarnation uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE dialer.partitions p SET owner = NULL, taken_at = now()
    FROM (SELECT q.partition FROM dialer.partitions q WHERE q.owner = p_incarnation ORDER BY q.partition FOR UPDATE) held
    WHERE p.partition = held.partition;
    DELETE FROM dialer.workers w WHERE w.incarnation = p_incarnation OR w.lease_until < now() - interval '1 day';
$$;

-- Say on every driven run who drives it; rows somebody holds are left for the next round.
CREATE OR REPLACE FUNCTION dialer.heartbeat_v1(p_incarnation uuid, p_name text, p_older_than interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    beaten integer;
BEGIN
    UPDATE public.outbound_call_runs r SET locked_by_worker = p_name, lock_ts = dialer.utc()
    FROM (SELECT q.id, q.business_id FROM public.outbound_call_runs q
          JOIN dialer.lanes l ON l.business_id = q.business_id
          JOIN dialer.partitions p ON p.partition = l.partition
          WHERE p.owner = p_incarnation AND q.status = 'running' AND q.started_at IS NOT NULL
            AND (q.lock_ts IS NULL OR q.lock_ts < dialer.utc() - p_older_than OR q.locked_by_worker IS DISTINCT FROM p_name)
          ORDER BY q.id FOR NO KEY UPDATE OF q SKIP LOCKED) held
    WHERE r.id = held.id AND r.business_id = held.business_id;
    GET DIAGNOSTICS beaten = ROW_COUNT;
    RETURN beaten;
END
$$;

-- Let the job rows of cancelled and stopped runs say so, one chunk of one run at a time. Returns the run and where to go on;
-- no row when nothing is left.
CREATE OR REPLACE FUNCTION dialer.rewrite_cancelled_v1(p_business_id integer, p_run_id integer, p_from integer, p_chunk integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    last integer;
    to_go integer;
BEGIN
    SELECT max(j.position) INTO last FROM (
        SELECT k.position FROM public.outbound_call_jobs k
        WHERE k.run_id = p_run_id AND k.business_id = p_business_id AND k.position >= p_from ORDER BY k.position LIMIT p_chunk) j;
    UPDATE public.outbound_call_jobs j SET status = 'cancelled', completed_at = r.cancel_requested_at
    FROM public.outbound_call_runs r
    WHERE r.id = p_run_id AND r.business_id = p_business_id AND r.cancel_requested
      AND j.run_id = r.id AND j.business_id = r.business_id AND j.position BETWEEN p_from AND last AND j.status = 'queued';
    SELECT min(k.position) INTO to_go FROM public.outbound_call_jobs k
    WHERE k.run_id = p_run_id AND k.business_id = p_business_id AND k.position > last;
    IF to_go IS NULL THEN
        DELETE FROM dialer.retries t WHERE t.run_id = p_run_id AND t.business_id = p_business_id;
        UPDATE public.outbound_call_runs r SET rewrite_pending = FALSE WHERE r.id = p_run_id AND r.business_id = p_business_id;
    END IF;
    RETURN to_go;
END
$$;

-- Want another number of calls at once. The enforced limit never falls below what is in flight, or no settle could pass its check.
CREATE OR REPLACE FUNCTION dialer.set_max_calls_v1(p_business_id integer, p_max_calls integer) RETURNS void
LANGUAGE sql AS $$
    UPDATE dialer.lanes l SET max_calls = p_max_calls, cap = greatest(p_max_calls, cardinality(l.inflight)) WHERE l.business_id = p_business_id
$$;
