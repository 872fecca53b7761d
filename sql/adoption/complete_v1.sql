-- Runs and jobs that the old application has inserted, made complete for our code when they are started or resumed: the
-- numbers of the leads are read by the process that does it (sql/adoption/old_runs.py).

-- True while a run is one of the old application that was never started, or has leads whose numbers were not read.
CREATE OR REPLACE FUNCTION dialer.is_incomplete(p_business_id integer, p_run_id integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM public.outbound_call_runs r
                   WHERE r.id = p_run_id AND r.business_id = p_business_id AND r.started_at IS NULL
                     AND coalesce(nullif(r.status, ''), 'queued') IN ('queued', 'running'))
        OR EXISTS (SELECT FROM public.outbound_call_jobs j
                   WHERE j.run_id = p_run_id AND j.business_id = p_business_id AND j.position >= dialer.unread_from()
                     AND dialer.status_of_old_job(j) IN ('queued', 'dialing', 'calling'))
$$;

-- True for a lead in progress whose call is not one of ours.
CREATE OR REPLACE FUNCTION dialer.is_old_call(job public.outbound_call_jobs) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT job.status IN ('dialing', 'calling')
           AND NOT EXISTS (SELECT FROM dialer.attempts a
                           WHERE a.id = job.attempt_id AND a.business_id = job.business_id AND dialer.is_open(a.state))
$$;

-- Answer the waiting starts and resumes of a run that cannot be completed: it must not stop the commands behind them.
CREATE OR REPLACE FUNCTION dialer.reject_incomplete_v1(p_business_id integer, p_run_id integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    command dialer.inbox;
    verdict CONSTANT jsonb := jsonb_build_object('accepted', FALSE, 'code', 'internal', 'run_id', p_run_id);
BEGIN
    FOR command IN SELECT * FROM dialer.inbox i
        WHERE i.business_id = p_business_id AND i.run_id = p_run_id AND i.applied_at IS NULL
          AND i.type IN ('run.start', 'run.resume') ORDER BY i.seq FOR UPDATE LOOP
        UPDATE dialer.inbox i SET applied_at = clock_timestamp(), answer = verdict
        WHERE i.business_id = p_business_id AND i.id = command.id;
        PERFORM dialer.answer_command_v1(command, verdict, FALSE);
    END LOOP;
END
$$;

-- The runs of a business with calls of the old application that have not ended.
CREATE OR REPLACE FUNCTION dialer.runs_in_doubt_v1(p_business_id integer) RETURNS SETOF integer
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT j.run_id FROM public.outbound_call_jobs j
    WHERE j.business_id = p_business_id AND dialer.is_old_call(j) ORDER BY j.run_id
$$;

-- Read the number of a lead again whose call is the old application's, though it was ours before: it gets a place that
-- the cursors have passed.
CREATE OR REPLACE FUNCTION dialer.mark_old_calls_v1(p_business_id integer, p_run_id integer) RETURNS void
LANGUAGE sql AS $$
    UPDATE public.outbound_call_jobs j SET position = dialer.unread_position(j.id)
    WHERE j.run_id = p_run_id AND j.business_id = p_business_id AND j.position < dialer.unread_from()
      AND dialer.is_old_call(j)
$$;

-- The jobs of a run whose numbers were not read, behind a place, with the lead as the old application has it: only one
-- of this business. `number` is as it is written there.
CREATE OR REPLACE FUNCTION dialer.unread_jobs_v1(
    p_business_id integer, p_run_id integer, p_after integer, p_limit integer)
RETURNS TABLE (job_id bigint, lead_id bigint, "position" integer, status text, is_known boolean, number text, name text)
LANGUAGE plpgsql STABLE
-- Tables that were just filled have no statistics: without these settings each page would read all leads.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
    IF to_regclass('public.leads') IS NULL THEN
        RETURN QUERY
        SELECT j.id::bigint, j.lead_id::bigint, j.position, dialer.status_of_old_job(j), FALSE, NULL::text,
               j.lead_name::text
        FROM public.outbound_call_jobs j
        WHERE j.run_id = p_run_id AND j.business_id = p_business_id AND j.position >= dialer.unread_from()
          AND j.position > p_after
        ORDER BY j.position LIMIT p_limit;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT j.id::bigint, j.lead_id::bigint, j.position, j.word, l.id IS NOT NULL, l.phone_e164::text,
           coalesce(j.lead_name, to_jsonb(l) ->> 'name',
                    nullif(concat_ws(' ', to_jsonb(l) ->> 'first_name', to_jsonb(l) ->> 'last_name'), ''))::text
    FROM (SELECT k.id, k.lead_id, k.position, k.lead_name, dialer.status_of_old_job(k) AS word
          FROM public.outbound_call_jobs k
          WHERE k.run_id = p_run_id AND k.business_id = p_business_id AND k.position >= dialer.unread_from()
            AND k.position > p_after
          ORDER BY k.position LIMIT p_limit) j
    LEFT JOIN LATERAL (SELECT * FROM public.leads o
                       WHERE o.id = j.lead_id AND o.tenant_id = p_business_id LIMIT 1) l ON TRUE
    ORDER BY j.position;
END
$$;

-- Give leads of a run their numbers and places. One that the old application has changed meanwhile stays as it is.
CREATE OR REPLACE FUNCTION dialer.read_jobs_v1(
    p_business_id integer, p_run_id integer, p_jobs bigint[], p_phones text[], p_names text[], p_first integer)
RETURNS void
LANGUAGE sql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
    UPDATE public.outbound_call_jobs j
    SET phone = n.phone, lead_name = left(n.name, 255), position = p_first + n.nth - 1,
        status = dialer.status_of_old_job(j)
    FROM unnest(p_jobs, p_phones, p_names) WITH ORDINALITY AS n (job_id, phone, name, nth)
    WHERE j.id = n.job_id AND j.business_id = p_business_id AND j.run_id = p_run_id
      AND j.position >= dialer.unread_from()
$$;

-- End leads that cannot be called: those never called are skipped; one that was being called is lost, since nobody can
-- ask the provider about it.
CREATE OR REPLACE FUNCTION dialer.reject_jobs_v1(
    p_business_id integer, p_run_id integer, p_jobs bigint[], p_reasons text[]) RETURNS void
LANGUAGE sql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
    UPDATE public.outbound_call_jobs j
    SET status = CASE dialer.status_of_old_job(j) WHEN 'queued' THEN 'skipped' ELSE 'failed' END,
        outcome = CASE dialer.status_of_old_job(j) WHEN 'queued' THEN j.outcome ELSE 'lost' END,
        reason = 'rejected', error_message = n.reason, completed_at = dialer.utc()
    FROM unnest(p_jobs, p_reasons) AS n (job_id, reason)
    WHERE j.id = n.job_id AND j.business_id = p_business_id AND j.run_id = p_run_id
      AND dialer.status_of_old_job(j) IN ('queued', 'dialing', 'calling')
$$;

-- Follow the calls of the old application that have not ended: an attempt for each, with a slot. Without a sid it is
-- unknown, and is looked for in the provider's list; with one the provider is asked for it. Returns how many.
CREATE OR REPLACE FUNCTION dialer.follow_old_calls_v1(
    p_business_id integer, p_run_id integer, p_default_account text, p_ring_seconds integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    followed bigint[];
BEGIN
    WITH old AS MATERIALIZED (
        SELECT j.id, j.phone, z.sid, row_number() OVER (PARTITION BY z.sid ORDER BY j.id) = 1
                   AND NOT EXISTS (SELECT FROM dialer.call_sids k WHERE k.sid = z.sid) AS is_its_own,
               -- The provider's list is read from then on. Without any time: from before its oldest call.
               coalesce(j.dial_started_at, j.started_at, j.created_at, r.created_at,
                        dialer.utc() - interval '400 days') AT TIME ZONE 'UTC' AS at
        FROM public.outbound_call_jobs j JOIN public.outbound_call_runs r ON r.id = j.run_id
        CROSS JOIN LATERAL (SELECT coalesce(nullif(j.twilio_call_sid, ''), nullif(j.call_sid, '')) AS sid) z
        WHERE j.run_id = p_run_id AND j.business_id = p_business_id AND dialer.is_old_call(j) AND j.phone IS NOT NULL
    ), created AS (
        INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, account_sid,
                                     ring_seconds, created_at, send_by, next_check_at, sid, placed_at, reason)
        SELECT p_business_id, p_run_id, o.id, CASE WHEN o.sid IS NOT NULL AND o.is_its_own THEN 'placed'
                                                   ELSE 'unknown' END,
               gen_random_uuid(), md5(gen_random_uuid()::text || gen_random_uuid()::text)::uuid, o.phone,
               b.caller_ids -> 0 ->> 'number', coalesce(b.account_sid, p_default_account), p_ring_seconds, o.at,
               o.at + interval '5 seconds', now(), CASE WHEN o.is_its_own THEN o.sid END,
               CASE WHEN o.sid IS NOT NULL AND o.is_its_own THEN o.at END, 'called by the old application'
        FROM old o JOIN dialer.businesses b ON b.business_id = p_business_id ORDER BY o.id
        RETURNING id, job_id, sid
    ), bound AS (
        INSERT INTO dialer.call_sids (sid, business_id, attempt_id)
        SELECT c.sid, p_business_id, c.id FROM created c WHERE c.sid IS NOT NULL
    ), job AS (
        UPDATE public.outbound_call_jobs j SET attempt_id = c.id, attempts = greatest(j.attempts, 1)
        FROM created c WHERE j.id = c.job_id AND j.business_id = p_business_id
    )
    SELECT coalesce(array_agg(c.id ORDER BY c.id), '{}') INTO followed FROM created c;
    UPDATE dialer.lanes l
    SET inflight = l.inflight || followed, cap = greatest(l.max_calls, cardinality(l.inflight || followed))
    WHERE l.business_id = p_business_id;
    RETURN cardinality(followed);
END
$$;

-- Give a run that the old application has inserted a status of ours, and counters by its rows; the caller has
-- locked it. Its flag alone cancels no lead: dialer.empty_run_v1 carries that out. A word that nobody knows counts as
-- failed.
CREATE OR REPLACE FUNCTION dialer.count_old_run_v1(p_business_id integer, p_run_id integer, p_followed integer)
RETURNS void
LANGUAGE sql AS $$
    UPDATE public.outbound_call_runs r
    SET status = CASE WHEN r.started_at IS NULL AND coalesce(nullif(r.status, ''), 'queued') IN ('queued', 'running')
                      THEN 'pending' ELSE r.status END,
        total_leads = c.total, queued_count = c.queued, in_progress_count = c.in_progress,
        completed_count = c.completed, failed_count = c.failed, cancelled_count = c.cancelled,
        skipped_count = c.skipped, calls_count = r.calls_count + p_followed,
        cursor_position = greatest(r.cursor_position, c.in_progress + c.completed + c.failed),
        concurrency = greatest(coalesce(r.concurrency, 3), 1), updated_at = dialer.utc()
    FROM (SELECT count(*)::integer AS total, count(*) FILTER (WHERE n.word = 'queued')::integer AS queued,
                 count(*) FILTER (WHERE n.word = 'in_progress')::integer AS in_progress,
                 count(*) FILTER (WHERE n.word = 'completed')::integer AS completed,
                 count(*) FILTER (WHERE n.word NOT IN ('queued', 'in_progress', 'completed', 'cancelled', 'skipped')
                                 )::integer AS failed,
                 count(*) FILTER (WHERE n.word = 'cancelled')::integer AS cancelled,
                 count(*) FILTER (WHERE n.word = 'skipped')::integer AS skipped
          FROM public.outbound_call_jobs j JOIN public.outbound_call_runs q
              ON q.id = j.run_id AND q.business_id = j.business_id
          CROSS JOIN LATERAL (SELECT dialer.counted_as(j.status, q.cancel_requested_at IS NOT NULL) AS word) n
          WHERE j.run_id = p_run_id AND j.business_id = p_business_id) c
    WHERE r.id = p_run_id AND r.business_id = p_business_id;
$$;

-- The last step: the zones of the leads, the calls to follow, the counters by the rows, and a status of ours. Locks the
-- lane and the run only now, since reading numbers takes seconds. The leads at places up to p_followed_until are being
-- called: the cursors are behind them.
CREATE OR REPLACE FUNCTION dialer.complete_run_v1(
    p_business_id integer, p_run_id integer, p_zones text[], p_first integer[], p_last integer[],
    p_followed_until integer, p_default_account text, p_ring_seconds integer)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    followed integer;
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    PERFORM FROM public.outbound_call_runs r
    WHERE r.id = p_run_id AND r.business_id = p_business_id FOR NO KEY UPDATE;
    followed := dialer.follow_old_calls_v1(p_business_id, p_run_id, p_default_account, p_ring_seconds);
    PERFORM dialer.count_old_run_v1(p_business_id, p_run_id, followed);
    INSERT INTO dialer.run_zones (business_id, run_id, zone, first_position, last_position, next_position)
    SELECT p_business_id, p_run_id, z.zone, z.first, z.last, z.last + 1
    FROM unnest(p_zones, p_first, p_last) AS z (zone, first, last) WHERE z.last <= p_followed_until;
    PERFORM dialer.add_zones_v1(p_business_id, p_run_id, array_agg(z.zone), array_agg(z.first), array_agg(z.last))
    FROM unnest(p_zones, p_first, p_last) AS z (zone, first, last) WHERE z.first > p_followed_until;
    PERFORM dialer.reset_windows_v1(p_business_id, p_run_id);
    INSERT INTO dialer.audit_log (business_id, actor, action, run_id, detail)
    VALUES (p_business_id, 'adoption', 'run.adopt', p_run_id, jsonb_build_object('followed', followed));
END
$$;

-- End a run that has nothing left, and carry out a cancel that the old application has requested by its flag alone.
-- Returns whether it has ended; a locked one is left for the next time.
CREATE OR REPLACE FUNCTION dialer.close_run_v1(p_business_id integer, p_run_id integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    run public.outbound_call_runs;
BEGIN
    SELECT * INTO run FROM public.outbound_call_runs r
    WHERE r.id = p_run_id AND r.business_id = p_business_id FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    IF run.cancel_requested AND run.cancel_requested_at IS NULL AND run.ended_at IS NULL THEN
        PERFORM dialer.empty_run_v1(p_business_id, p_run_id, 'the old application');
    END IF;
    RETURN dialer.end_if_done_v1(p_business_id, p_run_id);
END
$$;

-- The businesses of the old application, and whether each is one of ours.
CREATE OR REPLACE FUNCTION dialer.old_businesses_v1()
RETURNS TABLE (business_id integer, name text, phone text, is_adopted boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass('public.business') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT o.id::integer, o.name::text, o.phone_e164::text,
           EXISTS (SELECT FROM dialer.businesses b WHERE b.business_id = o.id)
    FROM public.business o ORDER BY o.id;
END
$$;
