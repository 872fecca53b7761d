-- Erasing everything about a business, or about one person in it: docs/erasure.md.

-- The digest of a number: with the key alone one can try numbers until one fits.
CREATE OR REPLACE FUNCTION dialer.proof_digest(p_key bytea, p_phone text) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(p_key || sha256(p_key || convert_to(p_phone, 'UTF8')))
$$;

-- What keeps a business from being erased: its runs that are not over, and how many calls are in progress.
CREATE OR REPLACE FUNCTION dialer.erasure_obstacles(p_business_id integer) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'runs', (SELECT coalesce(jsonb_agg(r.id ORDER BY r.id), '[]') FROM public.outbound_call_runs r
                 WHERE r.business_id = p_business_id
                   AND (r.status IN ('running', 'paused') OR r.rewrite_pending
                        OR r.status = 'pending' AND r.schedule_at IS NOT NULL)),
        'calls', (SELECT count(*) FROM dialer.lanes l CROSS JOIN LATERAL unnest(l.inflight) i
                  WHERE l.business_id = p_business_id)
               + (SELECT count(*) FROM dialer.attempts a
                  WHERE a.business_id = p_business_id AND a.excess AND dialer.is_open(a.state))
               + (SELECT count(*) FROM dialer.call_sids s
                  WHERE s.business_id = p_business_id AND s.excess AND s.over_at IS NULL)
               + (SELECT count(*) FROM dialer.test_calls c
                  WHERE c.business_id = p_business_id AND c.ended_at IS NULL))
$$;

-- Begin to erase a business, or go on: from here on nobody signs in to it and no lead is taken. Returns the obstacles
-- of dialer.erasure_obstacles, and does nothing when there are any; NULL for a business that there never was.
CREATE OR REPLACE FUNCTION dialer.begin_erasure_v1(p_business_id integer, p_actor text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    obstacles jsonb;
BEGIN
    -- Claims, starts and resumes lock it too.
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR UPDATE;
    IF NOT EXISTS (SELECT FROM dialer.businesses b WHERE b.business_id = p_business_id)
       AND NOT EXISTS (SELECT FROM dialer.erasures e WHERE e.business_id = p_business_id) THEN
        RETURN NULL;
    END IF;
    obstacles := dialer.erasure_obstacles(p_business_id);
    IF obstacles <> '{"runs": [], "calls": 0}' THEN
        RETURN obstacles;
    END IF;
    INSERT INTO dialer.erasures (business_id, actor) VALUES (p_business_id, p_actor)
    ON CONFLICT (business_id) DO UPDATE SET actor = excluded.actor, ended_at = NULL;
    UPDATE dialer.businesses b SET stopped_at = now(), stopped_by = p_actor, stop_reason = 'erasure'
    WHERE b.business_id = p_business_id;
    UPDATE dialer.users u SET deleted_at = coalesce(u.deleted_at, now()) WHERE u.business_id = p_business_id;
    UPDATE dialer.sessions s SET ended_at = now() WHERE s.business_id = p_business_id AND s.ended_at IS NULL;
    UPDATE dialer.tokens t SET revoked_at = coalesce(t.revoked_at, now()) WHERE t.business_id = p_business_id;
    UPDATE dialer.webhooks w SET deleted_at = coalesce(w.deleted_at, now()) WHERE w.business_id = p_business_id;
    RETURN obstacles;
END
$$;

-- Note that a business is erased, with how many rows of each table, in the audit log of the installation.
CREATE OR REPLACE FUNCTION dialer.end_erasure_v1(p_business_id integer, p_actor text, p_counts jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dialer.erasures e SET ended_at = now(), counts = (
        SELECT coalesce(jsonb_object_agg(summed.name, summed.n), '{}')
        FROM (SELECT c.name, sum(c.n::bigint) AS n
              FROM (SELECT * FROM jsonb_each_text(e.counts)
                    UNION ALL SELECT * FROM jsonb_each_text(p_counts)) AS c (name, n)
              GROUP BY c.name) summed)
    WHERE e.business_id = p_business_id;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (0, p_actor, 'business.erase', jsonb_build_object('business_id', p_business_id, 'rows', p_counts));
END
$$;

-- Delete one lead of a person who is erased, and take it out of the counts of its run. False when it waits to be called
-- or a call to it is in progress.
CREATE OR REPLACE FUNCTION dialer.erase_lead_v1(p_business_id integer, p_job_id bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    run integer;
    job public.outbound_call_jobs;
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR UPDATE;
    SELECT j.run_id INTO run FROM public.outbound_call_jobs j WHERE j.id = p_job_id AND j.business_id = p_business_id;
    PERFORM FROM public.outbound_call_runs r WHERE r.id = run AND r.business_id = p_business_id FOR UPDATE;
    DELETE FROM public.outbound_call_jobs j
    WHERE j.id = p_job_id AND j.business_id = p_business_id
      AND j.status IN ('completed', 'failed', 'cancelled', 'skipped')
    RETURNING j.* INTO job;
    IF job.id IS NULL THEN
        RETURN NOT EXISTS (SELECT FROM public.outbound_call_jobs j
                           WHERE j.id = p_job_id AND j.business_id = p_business_id);
    END IF;
    UPDATE public.outbound_call_runs r
    SET total_leads = r.total_leads - 1,
        completed_count = r.completed_count - (job.status = 'completed')::int,
        failed_count = r.failed_count - (job.status = 'failed')::int,
        cancelled_count = r.cancelled_count - (job.status = 'cancelled')::int,
        skipped_count = r.skipped_count - (job.status = 'skipped')::int,
        updated_at = now() AT TIME ZONE 'UTC'
    WHERE r.id = job.run_id AND r.business_id = p_business_id;
    RETURN TRUE;
END
$$;
