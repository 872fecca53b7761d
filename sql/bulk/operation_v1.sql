-- Operations on many leads of a run: jobs.cancel, jobs.again, jobs.do_not_call. A worker carries them out in chunks;
-- each chunk and the count of it are one transaction, so a worker that dies repeats nothing and loses nothing.

-- Note an operation, with the leads it is about. Received, noted, audited and answered in one call; codes of refusals:
-- id_reused, not_found, crowded.
CREATE OR REPLACE FUNCTION dialer.begin_operation_v1(
    p_business_id integer, p_id text, p_digest bytea, p_type text, p_run_id integer, p_wanted dialer.job_filter,
    p_requested_by text, p_keep interval, p_loosens text[])
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    most_running CONSTANT integer := 20;
    operation dialer.operations;
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, p_type, p_run_id, NULL,
                                                      p_requested_by, p_keep);
    reply jsonb;
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    IF most_running <= (SELECT count(*) FROM dialer.operations o
                        WHERE o.business_id = p_business_id AND o.status = 'running') THEN
        PERFORM dialer.forget_request_v1(p_business_id, p_id);
        RETURN jsonb_build_object('code', 'crowded');
    END IF;
    INSERT INTO dialer.operations (business_id, run_id, type, requested_by, jobs, status, ended_at)
    SELECT p_business_id, r.id, p_type, left(p_requested_by, 255), c.jobs,
           CASE c.jobs WHEN '{}' THEN 'done' ELSE 'running' END, CASE c.jobs WHEN '{}' THEN now() END
    FROM public.outbound_call_runs r
    CROSS JOIN LATERAL (SELECT dialer.jobs_chosen_v1(r, p_wanted) AS chosen) w
    CROSS JOIN LATERAL (
        SELECT CASE p_type WHEN 'jobs.again' THEN dialer.jobs_by_zone_v1(p_business_id, r.id, w.chosen)
                           ELSE w.chosen END AS jobs) c
    WHERE r.business_id = p_business_id AND r.id = p_run_id
    RETURNING * INTO operation;
    IF NOT FOUND THEN
        reply := jsonb_build_object('code', 'not_found');
    ELSE
        reply := jsonb_build_object('code', '', 'operation_id', operation.operation_id);
        INSERT INTO dialer.audit_log (business_id, actor, action, run_id, detail)
        VALUES (p_business_id, p_requested_by, p_type, p_run_id,
                jsonb_build_object('command_id', p_id, 'operation_id', operation.operation_id, 'wanted',
                                   jsonb_strip_nulls(to_jsonb(p_wanted) - 'job_ids'),
                                   'leads', cardinality(operation.jobs))
                || CASE p_loosens WHEN '{}' THEN '{}' ELSE jsonb_build_object('loosens', p_loosens) END);
    END IF;
    RETURN dialer.answer_request_v1(p_business_id, p_id, reply);
END
$$;

CREATE OR REPLACE FUNCTION dialer.jobs_chosen_v1(run public.outbound_call_runs, w dialer.job_filter) RETURNS bigint[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF w.job_ids IS NULL THEN
        RETURN ARRAY(SELECT j.id FROM public.outbound_call_jobs j
                     WHERE j.run_id = run.id AND j.business_id = run.business_id
                       AND dialer.job_matches(
                           dialer.job_status(j.status, run.cancel_requested), j.outcome, j.lead_name,
                           coalesce(j.external_id, j.lead_id::text), j.phone,
                           w.statuses, w.outcomes, w.name_like, w.lead_id_is, w.phones_like)
                     ORDER BY j.position);
    END IF;
    RETURN ARRAY(SELECT j.id FROM public.outbound_call_jobs j
                 JOIN (SELECT DISTINCT unnest(w.job_ids) AS id) n ON n.id = j.id
                 WHERE j.run_id = run.id AND j.business_id = run.business_id
                   AND dialer.job_matches(
                       dialer.job_status(j.status, run.cancel_requested), j.outcome, j.lead_name,
                       coalesce(j.external_id, j.lead_id::text), j.phone,
                       w.statuses, w.outcomes, w.name_like, w.lead_id_is, w.phones_like)
                 ORDER BY j.position);
END
$$;

-- These leads of a run by zone: their copies are numbered in this order, so that each zone of the new run has one row.
CREATE OR REPLACE FUNCTION dialer.jobs_by_zone_v1(p_business_id integer, p_run_id integer, p_jobs bigint[])
RETURNS bigint[]
LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT j.id
                 FROM public.outbound_call_jobs j
                 LEFT JOIN dialer.run_zones z ON z.run_id = j.run_id AND z.business_id = j.business_id
                     AND j.position BETWEEN z.first_position AND z.last_position
                 WHERE j.id = ANY (p_jobs) AND j.run_id = p_run_id AND j.business_id = p_business_id
                 ORDER BY z.zone, j.position)
$$;

-- Carry out the next p_chunk leads of an operation. Returns NULL when another worker is doing so, or it is over.
CREATE OR REPLACE FUNCTION dialer.operate_v1(p_business_id integer, p_operation_id bigint, p_chunk integer)
RETURNS boolean
LANGUAGE plpgsql
-- A foreign lock delays this operation, and holds a connection for no longer.
SET lock_timeout = '200ms' AS $$
DECLARE
    operation dialer.operations;
    first integer;
    chunk bigint[];
    changed integer;
    phones text[];
BEGIN
    SELECT * INTO operation FROM dialer.operations o
    WHERE o.business_id = p_business_id AND o.operation_id = p_operation_id AND o.status = 'running'
        FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    first := operation.done + operation.skipped + 1;
    chunk := operation.jobs[first:first + p_chunk - 1];
    IF operation.type = 'jobs.cancel' THEN
        changed := dialer.cancel_jobs_v1(p_business_id, operation.run_id, chunk);
    ELSIF operation.type = 'jobs.do_not_call' THEN
        phones := ARRAY(SELECT DISTINCT j.phone FROM public.outbound_call_jobs j
                        WHERE j.id = ANY (chunk) AND j.run_id = operation.run_id AND j.business_id = p_business_id
                          AND j.phone IS NOT NULL);
        SELECT n.added, n.audit_id INTO changed, operation.audit_id
        FROM dialer.add_do_not_call_v1(
            p_business_id, phones, array_fill(NULL::text, ARRAY[cardinality(phones)]), operation.requested_by,
            jsonb_build_object('operation_id', p_operation_id), operation.audit_id) n;
    ELSE
        SELECT a.run_id, a.copied INTO operation.new_run_id, changed
        FROM dialer.call_jobs_again_v1(p_business_id, operation.run_id, operation.new_run_id, chunk,
                                       operation.requested_by, p_operation_id) a;
    END IF;
    UPDATE dialer.operations o
    SET done = o.done + changed, skipped = o.skipped + cardinality(chunk) - changed,
        new_run_id = operation.new_run_id, audit_id = operation.audit_id,
        status = CASE WHEN first + cardinality(chunk) > cardinality(o.jobs) THEN 'done' ELSE 'running' END,
        ended_at = CASE WHEN first + cardinality(chunk) > cardinality(o.jobs) THEN now() END
    WHERE o.business_id = p_business_id AND o.operation_id = p_operation_id;
    RETURN TRUE;
END
$$;

-- Cancel those of these leads that are queued; returns how many.
CREATE OR REPLACE FUNCTION dialer.cancel_jobs_v1(p_business_id integer, p_run_id integer, p_jobs bigint[])
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    run public.outbound_call_runs;
    cancelled integer;
BEGIN
    SELECT * INTO run FROM public.outbound_call_runs r
    WHERE r.id = p_run_id AND r.business_id = p_business_id FOR NO KEY UPDATE;
    IF run.cancel_requested OR run.status NOT IN ('pending', 'running', 'paused') THEN
        -- Its queued leads count as cancelled already.
        RETURN 0;
    END IF;
    WITH held AS (
        SELECT j.id FROM public.outbound_call_jobs j
        WHERE j.id = ANY (p_jobs) AND j.run_id = p_run_id AND j.business_id = p_business_id AND j.status = 'queued'
        ORDER BY j.id FOR NO KEY UPDATE
    ), changed AS (
        UPDATE public.outbound_call_jobs j SET status = 'cancelled', completed_at = dialer.utc()
        FROM held h WHERE j.id = h.id AND j.business_id = p_business_id
        RETURNING j.id, coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id
    ), no_retry AS (
        DELETE FROM dialer.retries t USING changed c WHERE t.job_id = c.id AND t.business_id = p_business_id
    ), told AS (
        INSERT INTO dialer.outbox (business_id, run_id, job_id, type, data)
        SELECT p_business_id, p_run_id, c.id, 'job.changed',
               jsonb_build_object('status', 'cancelled', 'lead_id', c.lead_id)
        FROM changed c ORDER BY c.id
    )
    SELECT count(*)::integer INTO cancelled FROM changed;
    UPDATE public.outbound_call_runs r SET queued_count = r.queued_count - cancelled,
        cancelled_count = r.cancelled_count + cancelled, updated_at = dialer.utc()
    WHERE r.id = p_run_id AND r.business_id = p_business_id AND cancelled > 0;
    PERFORM dialer.end_if_done_v1(p_business_id, p_run_id);
    RETURN cancelled;
END
$$;

-- True while an operation still copies leads into this run. Nothing else may add leads to it, or start it: it would end
-- with the leads that it has. The caller has locked the run.
CREATE OR REPLACE FUNCTION dialer.is_being_filled(p_business_id integer, p_run_id integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM dialer.operations o
                   WHERE o.business_id = p_business_id AND o.status = 'running' AND o.new_run_id = p_run_id)
$$;

-- Copy those of these leads that have ended into the new run of an operation, behind those it has; returns the run, and
-- how many were copied. The first of them make the run, pending and with the settings of theirs. Into a run that was
-- cancelled meanwhile no more are copied.
CREATE OR REPLACE FUNCTION dialer.call_jobs_again_v1(
    p_business_id integer, p_run_id integer, p_new_run_id integer, p_jobs bigint[], p_by text, p_operation_id bigint)
RETURNS TABLE (run_id integer, copied integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    source public.outbound_call_runs;
    made public.outbound_call_runs;
    ended bigint[];
    leads integer;
BEGIN
    SELECT * INTO source FROM public.outbound_call_runs r WHERE r.id = p_run_id AND r.business_id = p_business_id;
    ended := ARRAY(SELECT j.id FROM public.outbound_call_jobs j
                   WHERE j.id = ANY (p_jobs) AND j.run_id = p_run_id AND j.business_id = p_business_id
                     AND dialer.job_status(j.status, source.cancel_requested)
                         IN ('completed', 'failed', 'cancelled', 'skipped'));
    IF p_new_run_id IS NOT NULL THEN
        SELECT * INTO made FROM public.outbound_call_runs r
        WHERE r.id = p_new_run_id AND r.business_id = p_business_id FOR NO KEY UPDATE;
    ELSIF ended <> '{}' THEN
        INSERT INTO public.outbound_call_runs (business_id, name, status, concurrency, total_leads, queued_count,
                                               priority, settings, ancestors)
        VALUES (p_business_id, source.name, 'pending', source.concurrency, 0, 0, source.priority,
                source.settings - 'schedule_at', source.ancestors || source.id)
        RETURNING * INTO made;
        INSERT INTO dialer.audit_log (business_id, actor, action, run_id, detail)
        VALUES (p_business_id, p_by, 'run.again', made.id,
                jsonb_build_object('of', p_run_id, 'operation_id', p_operation_id));
    END IF;
    IF ended = '{}' OR made.status IS DISTINCT FROM 'pending' OR made.cancel_requested THEN
        RETURN QUERY SELECT p_new_run_id, 0;
        RETURN;
    END IF;
    leads := dialer.copy_jobs_v1(p_business_id, p_run_id, ended, made.id, made.total_leads);
    UPDATE public.outbound_call_runs r
    SET total_leads = r.total_leads + leads, queued_count = r.queued_count + leads, updated_at = dialer.utc()
    WHERE r.id = made.id AND r.business_id = p_business_id;
    RETURN QUERY SELECT made.id, leads;
END
$$;

-- Copy these leads of a run into another, at the positions behind p_after, with their zones; returns how many.
CREATE OR REPLACE FUNCTION dialer.copy_jobs_v1(p_business_id integer, p_from integer, p_jobs bigint[], p_to integer,
                                               p_after integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    copied integer;
    zones text[];
    firsts integer[];
    lasts integer[];
BEGIN
    WITH chosen AS MATERIALIZED (
        SELECT j.lead_id, j.external_id, j.lead_name, j.phone, z.zone, j.position AS source,
               p_after + row_number() OVER (ORDER BY z.zone, j.position)::integer AS position
        FROM public.outbound_call_jobs j
        JOIN dialer.run_zones z ON z.run_id = j.run_id AND z.business_id = j.business_id
            AND j.position BETWEEN z.first_position AND z.last_position
        WHERE j.id = ANY (p_jobs) AND j.run_id = p_from AND j.business_id = p_business_id
    ), jobs AS (
        INSERT INTO public.outbound_call_jobs (run_id, business_id, lead_id, external_id, lead_name, phone, position)
        SELECT p_to, p_business_id, c.lead_id, c.external_id, c.lead_name, c.phone, c.position FROM chosen c
    ), variables AS (
        INSERT INTO dialer.lead_variables (business_id, run_id, position, variables)
        SELECT v.business_id, p_to, c.position, v.variables
        FROM chosen c JOIN dialer.lead_variables v ON v.run_id = p_from AND v.position = c.source
        WHERE v.business_id = p_business_id
    ), ranges AS (
        SELECT c.zone, count(*) AS leads, min(c.position) AS first, max(c.position) AS last
        FROM chosen c GROUP BY c.zone
    )
    SELECT coalesce(sum(r.leads), 0), array_agg(r.zone ORDER BY r.zone), array_agg(r.first ORDER BY r.zone),
           array_agg(r.last ORDER BY r.zone)
    INTO copied, zones, firsts, lasts FROM ranges r;
    PERFORM dialer.add_zones_v1(p_business_id, p_to, zones, firsts, lasts);
    RETURN copied;
END
$$;
