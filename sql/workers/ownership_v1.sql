-- Which worker drives which partition. No promise depends on it: a claim checks the fence, a fact needs none.

-- Nothing here waits for a locked row: a worker that waits for its lease loses it.

-- Begin an incarnation. Repeating is harmless: the first answer may have been lost.
CREATE OR REPLACE FUNCTION dialer.join_v1(p_incarnation uuid, p_name text,
                                          p_lease_seconds double precision) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO dialer.workers (incarnation, name, lease_until) VALUES (p_incarnation, p_name,
                                                                        now() + make_interval(secs => p_lease_seconds))
    ON CONFLICT (incarnation) DO NOTHING
$$;

-- Renew the lease. FALSE when it has expired: this incarnation is dead for good. NULL when its row is locked.
CREATE OR REPLACE FUNCTION dialer.renew_v1(p_incarnation uuid, p_lease_seconds double precision) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dialer.workers w SET lease_until = now() + make_interval(secs => p_lease_seconds)
    FROM (SELECT q.incarnation FROM dialer.workers q WHERE q.incarnation = p_incarnation AND q.lease_until > now()
          FOR NO KEY UPDATE SKIP LOCKED) held
    WHERE w.incarnation = held.incarnation;
    IF FOUND THEN
        RETURN TRUE;
    END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM dialer.workers w
                             WHERE w.incarnation = p_incarnation AND w.lease_until > now()) THEN NULL ELSE FALSE END;
END
$$;

-- Exclude this worker when the others share out partitions, while it shuts down.
CREATE OR REPLACE FUNCTION dialer.step_down_v1(p_incarnation uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE dialer.workers w SET leaving = TRUE
    FROM (SELECT q.incarnation FROM dialer.workers q
          WHERE q.incarnation = p_incarnation FOR NO KEY UPDATE SKIP LOCKED) held
    WHERE w.incarnation = held.incarnation
$$;

-- Take over partitions that no live worker owns. Returns those taken, with their new epochs.
CREATE OR REPLACE FUNCTION dialer.take_over_v1(p_incarnation uuid, p_partitions integer[])
RETURNS TABLE (partition smallint, epoch bigint)
LANGUAGE sql AS $$
    UPDATE dialer.partitions p SET owner = p_incarnation, epoch = p.epoch + 1, taken_at = now()
    FROM (SELECT q.partition FROM dialer.partitions q WHERE q.partition = ANY (p_partitions)
          ORDER BY q.partition FOR UPDATE SKIP LOCKED) held
    WHERE p.partition = held.partition
      AND NOT EXISTS (SELECT FROM dialer.workers w WHERE w.incarnation = p.owner AND w.lease_until > now())
      AND EXISTS (SELECT FROM dialer.workers w WHERE w.incarnation = p_incarnation AND w.lease_until > now())
    RETURNING p.partition, p.epoch
$$;

-- Release partitions, but only the worker's own. A locked one is released by the next call, or when the lease expires.
CREATE OR REPLACE FUNCTION dialer.give_back_v1(p_incarnation uuid, p_partitions integer[]) RETURNS SETOF smallint
LANGUAGE sql AS $$
    UPDATE dialer.partitions p SET owner = NULL, taken_at = now()
    FROM (SELECT q.partition FROM dialer.partitions q WHERE q.partition = ANY (p_partitions) AND q.owner = p_incarnation
          ORDER BY q.partition FOR UPDATE SKIP LOCKED) held
    WHERE p.partition = held.partition
    RETURNING p.partition
$$;

CREATE OR REPLACE FUNCTION dialer.leave_v1(p_incarnation uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE dialer.partitions p SET owner = NULL, taken_at = now()
    FROM (SELECT q.partition FROM dialer.partitions q WHERE q.owner = p_incarnation
          ORDER BY q.partition FOR UPDATE SKIP LOCKED) held
    WHERE p.partition = held.partition;
    DELETE FROM dialer.workers w USING (
        SELECT q.incarnation FROM dialer.workers q
        WHERE q.incarnation = p_incarnation OR q.lease_until < now() - interval '1 day'
        FOR UPDATE SKIP LOCKED) held
    WHERE w.incarnation = held.incarnation;
$$;

-- Write on the running runs of these businesses which worker drives them; locked rows are left for the next round.
CREATE OR REPLACE FUNCTION dialer.heartbeat_v1(p_incarnation uuid, p_name text, p_older_than interval,
                                               p_businesses integer[]) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    updated integer;
BEGIN
    UPDATE public.outbound_call_runs r SET locked_by_worker = p_name, lock_ts = dialer.utc()
    FROM (SELECT q.id, q.business_id FROM public.outbound_call_runs q
          JOIN dialer.lanes l ON l.business_id = q.business_id
          JOIN dialer.partitions p ON p.partition = l.partition
          WHERE q.business_id = ANY (p_businesses) AND p.owner = p_incarnation AND q.status = 'running'
            AND q.started_at IS NOT NULL
            AND (q.lock_ts IS NULL OR q.lock_ts < dialer.utc() - p_older_than OR q.locked_by_worker IS DISTINCT
                 FROM p_name)
          ORDER BY q.id FOR NO KEY UPDATE OF q SKIP LOCKED) held
    WHERE r.id = held.id AND r.business_id = held.business_id;
    GET DIAGNOSTICS updated = ROW_COUNT;
    RETURN updated;
END
$$;

-- Store why businesses of this worker take no lead, and delete reasons that have passed. Locked rows are left for the
-- next round.
CREATE OR REPLACE FUNCTION dialer.stalls_v1(
    p_incarnation uuid, p_businesses integer[], p_reasons text[], p_details text[],
        p_seconds double precision[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM dialer.stalls s USING (
        SELECT q.business_id FROM dialer.stalls q
        JOIN dialer.lanes l ON l.business_id = q.business_id
        JOIN dialer.partitions p ON p.partition = l.partition
        LEFT JOIN unnest(p_businesses, p_reasons) AS n (business_id, reason) ON n.business_id = q.business_id
        WHERE p.owner = p_incarnation AND n.reason IS DISTINCT FROM q.reason
        ORDER BY q.business_id FOR UPDATE OF q SKIP LOCKED) passed
    WHERE s.business_id = passed.business_id;
    INSERT INTO dialer.stalls (business_id, reason, detail, since)
    SELECT n.business_id, n.reason, n.detail, now() - make_interval(secs => n.seconds)
    FROM unnest(p_businesses, p_reasons, p_details, p_seconds) AS n (business_id, reason, detail, seconds)
    JOIN dialer.lanes l ON l.business_id = n.business_id
    JOIN dialer.partitions p ON p.partition = l.partition
    WHERE p.owner = p_incarnation AND NOT EXISTS (SELECT FROM dialer.stalls s WHERE s.business_id = n.business_id)
    ORDER BY n.business_id
    ON CONFLICT (business_id) DO NOTHING;
END
$$;

-- Mark the job rows of a cancelled or stopped run as cancelled, one chunk at a time; locked rows are skipped, and
-- visited again. Returns the position to continue from; NULL at the end. Locks only job rows: a command locks its run
-- before a job.
CREATE OR REPLACE FUNCTION dialer.rewrite_cancelled_v1(p_business_id integer, p_run_id integer, p_from integer,
                                                       p_chunk integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    last integer;
BEGIN
    SELECT max(j.position) INTO last FROM (
        SELECT k.position FROM public.outbound_call_jobs k
        WHERE k.run_id = p_run_id AND k.business_id = p_business_id AND k.position >= p_from
            ORDER BY k.position LIMIT p_chunk) j;
    UPDATE public.outbound_call_jobs j SET status = 'cancelled', completed_at = held.cancelled_at
    FROM (SELECT k.id, r.cancel_requested_at AS cancelled_at FROM public.outbound_call_jobs k
          JOIN public.outbound_call_runs r ON r.id = k.run_id AND r.business_id = k.business_id AND r.cancel_requested
          WHERE k.run_id = p_run_id AND k.business_id = p_business_id AND k.position BETWEEN p_from AND last
            AND k.status = 'queued'
          ORDER BY k.position FOR NO KEY UPDATE OF k SKIP LOCKED) held
    WHERE j.id = held.id AND j.business_id = p_business_id;
    RETURN (SELECT min(k.position) FROM public.outbound_call_jobs k
            WHERE k.run_id = p_run_id AND k.business_id = p_business_id AND k.position > last);
END
$$;

-- Finish the rewriting of a run: delete its retries and clear rewrite_pending. Returns FALSE while a row was skipped or
-- is locked.
CREATE OR REPLACE FUNCTION dialer.rewritten_v1(p_business_id integer, p_run_id integer) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM public.outbound_call_runs r
    WHERE r.id = p_run_id AND r.business_id = p_business_id AND r.cancel_requested FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    DELETE FROM dialer.retries t USING (
        SELECT q.job_id FROM dialer.retries q
        WHERE q.run_id = p_run_id AND q.business_id = p_business_id FOR UPDATE SKIP LOCKED) held
    WHERE t.job_id = held.job_id AND t.business_id = p_business_id;
    UPDATE public.outbound_call_runs r SET rewrite_pending = FALSE
    WHERE r.id = p_run_id AND r.business_id = p_business_id
      AND NOT EXISTS (SELECT FROM dialer.retries t WHERE t.run_id = r.id AND t.business_id = r.business_id)
      AND NOT EXISTS (SELECT FROM public.outbound_call_jobs j
                      WHERE j.run_id = r.id AND j.business_id = r.business_id AND j.status = 'queued'
                        AND j.position IS NOT NULL);
    RETURN FOUND;
END
$$;

-- Set the number of calls at once. The enforced limit never falls below the calls in flight, or recording their end
-- would fail the check.
CREATE OR REPLACE FUNCTION dialer.set_max_calls_v1(p_business_id integer, p_max_calls integer) RETURNS void
LANGUAGE sql AS $$
    UPDATE dialer.lanes l SET max_calls = p_max_calls, cap = greatest(p_max_calls, cardinality(l.inflight))
    WHERE l.business_id = p_business_id
$$;
