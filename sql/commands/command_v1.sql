-- The commands of contract section 5. Those from HTTP and those from the stream lock the same rows and are decided by
-- the same function.

-- End a run when nothing is queued and nothing in flight; the caller has locked its row.
CREATE OR REPLACE FUNCTION dialer.end_if_done_v1(p_business_id integer, p_run_id integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    run public.outbound_call_runs;
BEGIN
    UPDATE public.outbound_call_runs r
    SET status = CASE WHEN r.cancel_requested THEN 'cancelled' ELSE 'completed' END, ended_at = dialer.utc(),
        completed_at = dialer.utc()
    WHERE r.id = p_run_id AND r.business_id = p_business_id AND r.queued_count = 0 AND r.in_progress_count = 0
      AND (r.status IN ('running', 'paused') AND r.started_at IS NOT NULL OR r.status = 'pending'
           AND r.cancel_requested)
    RETURNING r.* INTO run;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    INSERT INTO dialer.outbox (business_id, run_id, type, data)
    VALUES (p_business_id, p_run_id, 'run.finished', dialer.run_summary_v1(run));
    RETURN TRUE;
END
$$;

CREATE OR REPLACE FUNCTION dialer.run_summary_v1(run public.outbound_call_runs) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('status', run.status, 'total_leads', run.total_leads, 'completed', run.completed_count,
                              'failed', run.failed_count,
                              'cancelled', run.cancelled_count, 'skipped', run.skipped_count)
$$;

-- Stop claiming leads of this run: queued leads count as cancelled at once, even while their rows still say queued.
CREATE OR REPLACE FUNCTION dialer.empty_run_v1(p_business_id integer, p_run_id integer,
                                               p_requested_by text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    -- The job rows of runs up to this size are rewritten here; those of larger runs soon after, in chunks, without the
    -- run's lock.
    rewrite_here CONSTANT integer := 200;
    run public.outbound_call_runs;
    rewritten integer;
BEGIN
    -- The counters of a run that the old application has inserted are what that has written there.
    IF dialer.is_incomplete(p_business_id, p_run_id) THEN
        PERFORM dialer.count_old_run_v1(p_business_id, p_run_id, 0);
    END IF;
    SELECT * INTO run FROM public.outbound_call_runs r WHERE r.id = p_run_id AND r.business_id = p_business_id;
    UPDATE public.outbound_call_runs r
    SET cancel_requested = TRUE, cancel_requested_at = coalesce(r.cancel_requested_at, dialer.utc()),
        cancel_requested_by = coalesce(r.cancel_requested_by, left(p_requested_by, 255)),
        cancelled_count = r.cancelled_count + r.queued_count, queued_count = 0,
        rewrite_pending = r.rewrite_pending OR r.queued_count > 0 AND r.total_leads > rewrite_here,
        updated_at = dialer.utc()
    WHERE r.id = p_run_id AND r.business_id = p_business_id;
    IF run.queued_count > 0 AND run.total_leads <= rewrite_here THEN
        -- Locked rows must not delay a cancel: they are rewritten soon after.
        UPDATE public.outbound_call_jobs j SET status = 'cancelled', completed_at = dialer.utc()
        FROM (SELECT k.id FROM public.outbound_call_jobs k
              WHERE k.run_id = p_run_id AND k.business_id = p_business_id AND k.status = 'queued'
                  FOR NO KEY UPDATE SKIP LOCKED) held
        WHERE j.id = held.id AND j.business_id = p_business_id;
        GET DIAGNOSTICS rewritten = ROW_COUNT;
        DELETE FROM dialer.retries t USING (
            SELECT q.job_id FROM dialer.retries q
            WHERE q.run_id = p_run_id AND q.business_id = p_business_id FOR UPDATE SKIP LOCKED) held
        WHERE t.job_id = held.job_id AND t.business_id = p_business_id;
        UPDATE public.outbound_call_runs r SET rewrite_pending = TRUE
        WHERE r.id = p_run_id AND r.business_id = p_business_id
          AND (rewritten < run.queued_count
               OR EXISTS (SELECT FROM dialer.retries t WHERE t.run_id = p_run_id AND t.business_id = p_business_id));
    END IF;
    RETURN run.queued_count;
END
$$;

-- Mark the calls of a run, or of one job, to be hung up; the next step that handles such a call hangs it up.
CREATE OR REPLACE FUNCTION dialer.hang_up_v1(p_business_id integer, p_run_id integer, p_job_id bigint) RETURNS void
LANGUAGE sql AS $$
    UPDATE dialer.attempts a SET hang_up_at = coalesce(a.hang_up_at, now()),
        next_check_at = least(a.next_check_at, now())
    FROM dialer.lanes l
    WHERE l.business_id = p_business_id AND a.id = ANY (l.inflight) AND a.business_id = l.business_id
      AND a.run_id = p_run_id
      AND (p_job_id IS NULL OR a.job_id = p_job_id)
$$;

CREATE OR REPLACE FUNCTION dialer.cancel_job_v1(p_business_id integer, p_run public.outbound_call_runs, p_job_id bigint,
                                                p_hang_up boolean)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    job public.outbound_call_jobs;
    counted text;
BEGIN
    SELECT * INTO job FROM public.outbound_call_jobs j
    WHERE j.id = p_job_id AND j.run_id = p_run.id AND j.business_id = p_business_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('accepted', FALSE, 'code', 'not_found');
    END IF;
    counted := dialer.counted_as(job.status, p_run.cancel_requested);
    IF counted = 'in_progress' AND NOT p_hang_up THEN
        RETURN jsonb_build_object('accepted', FALSE, 'code', 'in_progress', 'job_id', job.id, 'job_status', job.status,
                                  'in_progress', 1);
    ELSIF counted = 'in_progress' THEN
        PERFORM dialer.hang_up_v1(p_business_id, p_run.id, p_job_id);
    ELSIF counted = 'queued' THEN
        UPDATE public.outbound_call_jobs j SET status = 'cancelled', completed_at = dialer.utc()
        WHERE j.id = job.id AND j.business_id = p_business_id;
        DELETE FROM dialer.retries t WHERE t.job_id = job.id AND t.business_id = p_business_id;
        UPDATE public.outbound_call_runs r SET queued_count = r.queued_count - 1,
            cancelled_count = r.cancelled_count + 1, updated_at = dialer.utc()
        WHERE r.id = p_run.id AND r.business_id = p_business_id;
        INSERT INTO dialer.outbox (business_id, run_id, job_id, type, data)
        VALUES (p_business_id, p_run.id, job.id, 'job.changed',
                jsonb_build_object('status', 'cancelled', 'lead_id',
                                   coalesce(to_jsonb(job.external_id), to_jsonb(job.lead_id))));
        PERFORM dialer.end_if_done_v1(p_business_id, p_run.id);
        counted := 'cancelled';
    END IF;
    RETURN jsonb_build_object('accepted', TRUE, 'job_id', job.id, 'in_progress', (counted = 'in_progress')::int,
                              'job_status', CASE counted WHEN 'in_progress' THEN job.status ELSE counted END);
END
$$;

-- Apply a command to its run. The caller has locked the run's row, and the lane too when calls are to be hung up.
CREATE OR REPLACE FUNCTION dialer.change_run_v1(p_run public.outbound_call_runs, p_command dialer.inbox) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    ended CONSTANT boolean := p_run.status IN ('completed', 'cancelled', 'stopped', 'failed');
    emptied integer;
BEGIN
    IF p_command.type IN ('run.cancel', 'run.stop') AND ended THEN
        IF p_command.hang_up THEN
            PERFORM dialer.hang_up_v1(p_run.business_id, p_run.id, NULL);
        END IF;
        RETURN jsonb_build_object('accepted', TRUE, 'already_ended', TRUE, 'cancelled_jobs', 0);
    ELSIF p_command.type IN ('run.cancel', 'run.stop') THEN
        emptied := dialer.empty_run_v1(p_run.business_id, p_run.id, p_command.requested_by);
        IF p_command.hang_up THEN
            PERFORM dialer.hang_up_v1(p_run.business_id, p_run.id, NULL);
        END IF;
        IF p_command.type = 'run.cancel' THEN
            PERFORM dialer.end_if_done_v1(p_run.business_id, p_run.id);
        ELSE
            UPDATE public.outbound_call_runs r SET status = 'stopped', ended_at = dialer.utc(),
                completed_at = dialer.utc()
            WHERE r.id = p_run.id AND r.business_id = p_run.business_id;
            INSERT INTO dialer.outbox (business_id, run_id, type, data)
            SELECT r.business_id, r.id, 'run.finished', dialer.run_summary_v1(r)
            FROM public.outbound_call_runs r WHERE r.id = p_run.id AND r.business_id = p_run.business_id;
        END IF;
        RETURN jsonb_build_object('accepted', TRUE, 'already_ended', FALSE, 'cancelled_jobs', emptied);
    ELSIF p_run.cancel_requested OR ended
        OR p_command.type = 'run.start'
            AND (p_run.status <> 'pending' OR dialer.is_being_filled(p_run.business_id, p_run.id))
        OR p_command.type = 'run.pause' AND p_run.status <> 'running'
        OR p_command.type = 'run.resume' AND p_run.status <> 'paused' THEN
        RETURN jsonb_build_object('accepted', FALSE, 'code', 'invalid_state');
    END IF;
    UPDATE public.outbound_call_runs r
    SET status = CASE p_command.type WHEN 'run.pause' THEN 'paused' ELSE 'running' END, updated_at = dialer.utc(),
        started_at = CASE p_command.type WHEN 'run.start' THEN dialer.utc() ELSE r.started_at END,
        -- Nobody drives a paused run: from here on a worker has as long to confirm it as after a start.
        lock_ts = CASE p_command.type WHEN 'run.resume' THEN dialer.utc() ELSE r.lock_ts END,
        last_error = CASE p_command.type WHEN 'run.resume' THEN NULL ELSE r.last_error END,
        last_error_cause = CASE p_command.type WHEN 'run.resume' THEN NULL ELSE r.last_error_cause END
    WHERE r.id = p_run.id AND r.business_id = p_run.business_id;
    IF p_command.type = 'run.start' THEN
        PERFORM dialer.reset_windows_v1(p_run.business_id, p_run.id);
    END IF;
    INSERT INTO dialer.outbox (business_id, run_id, type, data)
    VALUES (p_run.business_id, p_run.id, p_command.type || CASE p_command.type WHEN 'run.start' THEN 'ed' ELSE 'd' END,
            jsonb_build_object('requested_by', p_command.requested_by));
    PERFORM dialer.end_if_done_v1(p_run.business_id, p_run.id);
    RETURN jsonb_build_object('accepted', TRUE);
END
$$;

-- Decide one command of the inbox, and answer it.
CREATE OR REPLACE FUNCTION dialer.apply_command_v1(p_business_id integer, p_id text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    command dialer.inbox;
    lane dialer.lanes;
    run public.outbound_call_runs;
    verdict jsonb;
BEGIN
    SELECT * INTO command FROM dialer.inbox i WHERE i.business_id = p_business_id AND i.id = p_id FOR UPDATE;
    IF command.applied_at IS NOT NULL THEN
        RETURN command.answer;
    END IF;
    -- A start opens the zones of a run by the rules of its business: no change of them may come in between.
    IF command.hang_up OR command.type = 'run.start' THEN
        PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    END IF;
    SELECT * INTO lane FROM dialer.lanes l WHERE l.business_id = p_business_id;
    SELECT * INTO run FROM public.outbound_call_runs r
    WHERE r.id = command.run_id AND r.business_id = p_business_id FOR NO KEY UPDATE;
    IF lane.business_id IS NOT NULL AND command.type IN ('run.start', 'run.resume')
        AND dialer.is_incomplete(p_business_id, command.run_id) THEN
        -- Nothing is decided: the caller completes the run, and tries again.
        RETURN jsonb_build_object('accepted', FALSE, 'code', 'incomplete', 'run_id', command.run_id);
    END IF;
    IF lane.business_id IS NULL OR run.id IS NULL THEN
        verdict := jsonb_build_object('accepted', FALSE, 'code', 'not_found', 'foreign', EXISTS (
            SELECT FROM public.outbound_call_runs r WHERE r.id = command.run_id AND r.business_id <> p_business_id));
    ELSIF command.type = 'job.cancel' THEN
        verdict := dialer.cancel_job_v1(p_business_id, run, command.job_id, command.hang_up);
    ELSE
        verdict := dialer.change_run_v1(run, command);
    END IF;
    SELECT * INTO run FROM public.outbound_call_runs r WHERE r.id = command.run_id AND r.business_id = p_business_id;
    verdict := jsonb_build_object('run_id', command.run_id, 'status', run.status, 'cancel_requested',
                                  run.cancel_requested,
                                 'in_progress', run.in_progress_count, 'partition', lane.partition) || verdict;
    UPDATE dialer.inbox i SET applied_at = clock_timestamp(), answer = verdict
    WHERE i.business_id = p_business_id AND i.id = p_id;
    PERFORM dialer.answer_command_v1(command, verdict, n > 0) FROM generate_series(0, command.repeats) n;
    IF (verdict ->> 'accepted')::boolean THEN
        INSERT INTO dialer.audit_log (business_id, actor, action, run_id, job_id, detail, address)
        VALUES (p_business_id, command.requested_by, command.type, command.run_id, command.job_id,
                jsonb_build_object('command_id', command.id, 'hang_up', command.hang_up),
                CASE WHEN command.entry IS NOT NULL THEN 'dialer:commands'
                     ELSE nullif(current_setting('dialer.address', TRUE), '') END);
    END IF;
    RETURN verdict;
END
$$;

-- Publish the answer to a command. A rejected command that came by the stream is also kept there, with the fields that
-- were sent.
CREATE OR REPLACE FUNCTION dialer.answer_command_v1(p_command dialer.inbox, p_answer jsonb,
                                                    p_duplicate boolean) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO dialer.outbox (business_id, run_id, job_id, command_id, type, data)
    SELECT p_command.business_id, p_command.run_id, p_command.job_id, p_command.id,
           CASE WHEN (p_answer ->> 'accepted')::boolean THEN 'command.accepted' ELSE 'command.rejected' END,
           (p_answer - 'partition' - 'foreign') || jsonb_build_object('type', p_command.type)
           || CASE WHEN p_duplicate THEN jsonb_build_object('duplicate', TRUE) ELSE '{}' END
           || CASE WHEN p_command.entry IS NOT NULL AND NOT (p_answer ->> 'accepted')::boolean THEN
                  jsonb_build_object('entry', p_command.entry, 'reason', p_answer ->> 'code', 'fields',
                                     jsonb_strip_nulls(jsonb_build_object(
                      'v', '1', 'id', p_command.id, 'type', p_command.type, 'business_id', p_command.business_id::text,
                      'run_id', p_command.run_id::text, 'job_id', p_command.job_id::text, 'hang_up',
                      p_command.hang_up::int::text,
                      'requested_by', p_command.requested_by)))
              ELSE '{}' END
$$;

-- Put a command into the inbox. Returns TRUE when it is new, FALSE when it is a repeat, NULL when another command has
-- its id. An expired id counts as new, and goes to the end.
CREATE OR REPLACE FUNCTION dialer.receive_command_v1(p_command dialer.inbox, p_keep interval) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    known dialer.inbox;
BEGIN
    LOOP
        -- DO NOTHING does not lock an existing row, so a session that holds it delays no other command.
        INSERT INTO dialer.inbox AS i (business_id, id, digest, type, run_id, job_id, hang_up, requested_by, entry,
                                       applied_at, expires_at)
        VALUES (p_command.business_id, p_command.id, p_command.digest, p_command.type, p_command.run_id,
                p_command.job_id, p_command.hang_up,
                p_command.requested_by, p_command.entry, p_command.applied_at, now() + p_keep)
        ON CONFLICT (business_id, id) DO NOTHING;
        IF FOUND THEN
            RETURN TRUE;
        END IF;
        SELECT * INTO known FROM dialer.inbox i WHERE i.business_id = p_command.business_id AND i.id = p_command.id;
        IF known.expires_at >= now() THEN
            RETURN CASE WHEN known.digest = p_command.digest THEN FALSE END;
        END IF;
        DELETE FROM dialer.inbox i
        WHERE i.business_id = p_command.business_id AND i.id = p_command.id AND i.expires_at < now();
    END LOOP;
END
$$;

-- A command over HTTP: received, decided and answered in one call.
CREATE OR REPLACE FUNCTION dialer.command_v1(
    p_business_id integer, p_id text, p_digest bytea, p_type text, p_run_id integer, p_job_id bigint, p_hang_up boolean,
    p_requested_by text, p_keep interval)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    command dialer.inbox;
    is_new boolean;
BEGIN
    command.business_id := p_business_id;
    command.id := p_id;
    command.digest := p_digest;
    command.type := p_type;
    command.run_id := p_run_id;
    command.job_id := p_job_id;
    command.hang_up := p_hang_up;
    command.requested_by := p_requested_by;
    is_new := dialer.receive_command_v1(command, p_keep);
    IF is_new IS NULL THEN
        RETURN jsonb_build_object('accepted', FALSE, 'code', 'id_reused');
    END IF;
    RETURN dialer.apply_command_v1(p_business_id, p_id) || jsonb_build_object('duplicate', NOT is_new);
END
$$;

-- Move entries read from dialer:commands into the inbox. Does nothing and returns FALSE when another reader has moved
-- the position, or is moving it: p_from is no longer the position then, so a reader that was frozen cannot apply
-- anything twice or out of order.
CREATE OR REPLACE FUNCTION dialer.receive_v1(p_from text, p_to text, p_commands jsonb) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
DECLARE
    receiving CONSTANT bigint := 7417002;
    here dialer.positions;
    c jsonb;
BEGIN
    IF NOT pg_try_advisory_xact_lock(receiving) THEN
        RETURN FALSE;
    END IF;
    SELECT * INTO here FROM dialer.positions p WHERE p.stream = 'dialer:commands' ORDER BY p.n DESC LIMIT 1;
    IF here.entry IS DISTINCT FROM p_from THEN
        RETURN FALSE;
    END IF;
    INSERT INTO dialer.positions (stream, entry, n) VALUES ('dialer:commands', p_to, here.n + 1);
    DELETE FROM dialer.positions p USING (
        SELECT q.n FROM dialer.positions q
        WHERE q.stream = 'dialer:commands' AND q.n <= here.n FOR UPDATE SKIP LOCKED) old
    WHERE p.stream = 'dialer:commands' AND p.n = old.n;
    FOR c IN SELECT * FROM jsonb_array_elements(p_commands) LOOP
        IF c ? 'malformed' THEN
            INSERT INTO dialer.outbox (business_id, command_id, type, data)
            VALUES (coalesce((c ->> 'business_id')::integer, 0), c ->> 'id', 'command.rejected',
                    jsonb_build_object('code', 'malformed', 'reason', c ->> 'malformed', 'entry', c ->> 'entry',
                                       'fields', c -> 'fields'));
        ELSE
            PERFORM dialer.receive_from_stream_v1(
                jsonb_populate_record(NULL::dialer.inbox, c), make_interval(secs => (c ->> 'keep_seconds')::float8));
        END IF;
    END LOOP;
    RETURN TRUE;
END
$$;

-- Receive one command of the stream, or answer a repeat. A locked row of one business must not delay the commands
-- behind it: a repeat of a command that is being decided is answered together with the first, and a command that cannot
-- be received is rejected as busy, and kept.
CREATE OR REPLACE FUNCTION dialer.receive_from_stream_v1(p_command dialer.inbox, p_keep interval) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    is_new boolean;
BEGIN
    is_new := dialer.receive_command_v1(p_command, p_keep);
    IF is_new IS NULL THEN
        PERFORM dialer.answer_command_v1(p_command, jsonb_build_object('accepted', FALSE, 'code', 'id_reused'), FALSE);
    ELSIF NOT is_new THEN
        UPDATE dialer.inbox i SET repeats = i.repeats + 1
        WHERE i.business_id = p_command.business_id AND i.id = p_command.id AND i.applied_at IS NULL;
        IF NOT FOUND THEN
            PERFORM dialer.answer_command_v1(i, i.answer, TRUE) FROM dialer.inbox i
            WHERE i.business_id = p_command.business_id AND i.id = p_command.id;
        END IF;
    END IF;
EXCEPTION WHEN lock_not_available THEN
    IF is_new IS NULL THEN
        PERFORM dialer.answer_command_v1(p_command, jsonb_build_object('accepted', FALSE, 'code', 'busy'), FALSE);
    END IF;
END
$$;

-- Decide the waiting commands of one business, in the order they came. Returns those decided, and a last row of type
-- `busy` when a row was locked by another session: call again later. A locked run delays only its own commands. So does
-- one that the caller has to complete first, a row of type `incomplete` (sql/adoption/complete_v1.sql).
CREATE OR REPLACE FUNCTION dialer.apply_received_v1(p_business_id integer, p_limit integer)
RETURNS TABLE (type text, run_id integer, job_id bigint, hang_up boolean, answer jsonb)
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
#variable_conflict use_column
DECLARE
    command dialer.inbox;
    locked_runs integer[] := '{}';
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND AND EXISTS (SELECT FROM dialer.lanes l WHERE l.business_id = p_business_id) THEN
        type := 'busy';
        RETURN NEXT;
        RETURN;
    END IF;
    FOR command IN SELECT * FROM dialer.inbox i WHERE i.business_id = p_business_id AND i.applied_at IS NULL
        ORDER BY i.seq LIMIT p_limit LOOP
        CONTINUE WHEN command.run_id = ANY (locked_runs);
        PERFORM FROM public.outbound_call_runs r
        WHERE r.id = command.run_id AND r.business_id = p_business_id FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND AND EXISTS (SELECT FROM public.outbound_call_runs r
                                 WHERE r.id = command.run_id AND r.business_id = p_business_id) THEN
            locked_runs := locked_runs || command.run_id;
            CONTINUE;
        END IF;
        BEGIN
            answer := dialer.apply_command_v1(p_business_id, command.id);
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                locked_runs := locked_runs || command.run_id;
                CONTINUE;
            WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
                -- A command that cannot be applied must not delay the ones behind it.
                answer := jsonb_build_object('accepted', FALSE, 'code', 'internal', 'run_id', command.run_id);
                UPDATE dialer.inbox i SET applied_at = clock_timestamp(), answer = apply_received_v1.answer
                WHERE i.business_id = p_business_id AND i.id = command.id;
                PERFORM dialer.answer_command_v1(command, answer, FALSE);
        END;
        IF answer ->> 'code' = 'incomplete' THEN
            locked_runs := locked_runs || command.run_id;
        END IF;
        type := CASE answer ->> 'code' WHEN 'incomplete' THEN 'incomplete' ELSE command.type END;
        run_id := command.run_id;
        job_id := command.job_id;
        hang_up := command.hang_up;
        RETURN NEXT;
    END LOOP;
    IF locked_runs <> '{}' THEN
        type := 'busy';
        RETURN NEXT;
    END IF;
END
$$;

-- Pause a run whose provider account refuses its calls, so that no lead is burned. The reason is for people, the cause
-- for programs.
CREATE OR REPLACE FUNCTION dialer.pause_refused_v1(
    p_business_id integer, p_run_id integer, p_reason text, p_cause jsonb)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    UPDATE public.outbound_call_runs r SET status = 'paused', last_error = p_reason, last_error_cause = p_cause,
        updated_at = dialer.utc()
    WHERE r.business_id = p_business_id AND r.id = p_run_id AND r.status = 'running' AND r.started_at IS NOT NULL
      AND NOT r.cancel_requested;
    IF FOUND THEN
        INSERT INTO dialer.outbox (business_id, run_id, type, data)
        VALUES (p_business_id, p_run_id, 'run.paused',
                jsonb_build_object('last_error', p_reason, 'last_error_cause', p_cause));
    END IF;
END
$$;
