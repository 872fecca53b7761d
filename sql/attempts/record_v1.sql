-- Records facts about attempts: a response of the provider, a callback, a listing, or the worker's report that a POST
-- was never sent. At most one fact per attempt in each call of the function; the same fact again changes nothing.
--
-- A fact never lowers the rank of an attempt. A fact that ends an open attempt frees its slot, updates its job and the
-- run's counters, and ends the run when this was its last lead, all in this call. not_sent is accepted only from
-- the worker that holds the attempt's token, not_placed only from the partition's owner or a person; any other fact is
-- proof, whatever its source.
-- Verdicts:
--   applied   it changed the attempt
--   known     nothing new
--   refused   not allowed in this state, or not from this worker; or the sid belongs to another attempt
--   stranger  no such attempt, or the nonce differs, or it is of another account than the fact
--   second    the sid is not the one bound to the attempt: a second call exists, recorded as excess, to be hung up
--   busy      a row it has to write (lane, run, attempt or job) is locked by another session: retry in a few ms
--
-- Lanes are locked first, then attempts, runs and jobs, skipping rows that another session has locked. Then
-- dialer.record_effects_v1 decides about each fact, and the steps below write what it decided.
-- long: the locks, the decision and what each step is for, in the order they run
CREATE OR REPLACE FUNCTION dialer.record_v1(p_facts jsonb)
RETURNS TABLE (business_id integer, attempt_id bigint, verdict text, state text, run_id integer, job_id bigint,
               partition smallint, sid text, hang_up boolean, run_ended boolean)
LANGUAGE plpgsql
-- Planned once per session, using the indexes: see claim_v1.sql.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
-- Rows are joined in the order written, from the fact to its attempt, job and run: while the tables are new, all
-- runs of its business would seem to be as good a beginning. `business_id + 0`: for the same reason the row is found by
-- its id, and no index by business fits.
SET join_collapse_limit = 1
-- SKIP LOCKED does not prevent waiting for a key that another session is inserting. Such a wait is rare, and must be
-- short, since up to 64 businesses are delayed by it.
SET lock_timeout = '100ms'
AS $$
#variable_conflict use_column
DECLARE
    facts dialer.fact[] := ARRAY(SELECT jsonb_populate_record(NULL::dialer.fact, f)
                                 FROM jsonb_array_elements(p_facts) f);
    -- A new connection records nothing, to plan each step before its first call (sql/pool.py).
    plans CONSTANT boolean := cardinality(facts) = 0;
    held_lanes integer[];
    targets dialer.record_target[];
    held_runs integer[];
    held_jobs bigint[];
    held_retries bigint[];
    effects dialer.record_effect[];
    bound_sids text[];
    ended_runs integer[];
    -- Which steps have anything to do.
    does record;
BEGIN
    -- Commit asynchronously: locks are released before the flush; the caller flushes (sql/pool.py, `flush`).
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    held_lanes := ARRAY(SELECT l.business_id FROM dialer.lanes l
                        WHERE l.business_id = ANY (ARRAY(SELECT DISTINCT f.business_id FROM unnest(facts) f))
                        ORDER BY l.business_id FOR NO KEY UPDATE SKIP LOCKED);
    targets := ARRAY(SELECT ROW(a.id, a.run_id, a.job_id, dialer.concerns_run(a.state, f.state, a.sid, f.sid),
                                dialer.concerns_job(a.state, f.state))::dialer.record_target
                     FROM unnest(facts) f
                     JOIN dialer.attempts a ON a.id = f.attempt_id AND a.business_id + 0 = f.business_id
                     WHERE f.business_id = ANY (held_lanes) ORDER BY a.id FOR NO KEY UPDATE OF a SKIP LOCKED);
    held_runs := ARRAY(SELECT r.id FROM public.outbound_call_runs r
                       WHERE r.id = ANY (ARRAY(SELECT DISTINCT t.run_id FROM unnest(targets) t WHERE t.concerns_run))
                         AND r.business_id + 0 = ANY (held_lanes)
                       ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED);
    held_jobs := ARRAY(SELECT j.id FROM public.outbound_call_jobs j
                       WHERE j.id = ANY (ARRAY(SELECT t.job_id FROM unnest(targets) t WHERE t.concerns_job))
                         AND j.business_id + 0 = ANY (held_lanes)
                       ORDER BY j.id FOR NO KEY UPDATE SKIP LOCKED);
    held_retries := ARRAY(SELECT t.job_id FROM dialer.retries t WHERE t.job_id = ANY (held_jobs)
                          ORDER BY t.job_id FOR UPDATE SKIP LOCKED);
    held_jobs := ARRAY(SELECT j FROM unnest(held_jobs) j
                       WHERE j = ANY (held_retries) OR NOT EXISTS (SELECT FROM dialer.retries t WHERE t.job_id = j));
    effects := dialer.record_effects_v1(facts, ARRAY(SELECT t.attempt_id FROM unnest(targets) t), held_runs, held_jobs);
    -- Starting a statement costs more than writing a row: a step that has none to write is left out.
    SELECT coalesce(bool_or(e.verdict = 'applied'), plans) AS apply,
           coalesce(bool_or(e.verdict = 'known'), plans) AS amend,
           coalesce(bool_or(e.sid IS NOT NULL AND e.bound IS DISTINCT FROM e.sid), plans) AS bind,
           coalesce(bool_or(e.job_moves), plans) AS move,
           coalesce(bool_or(e.job_moves AND (e.job_now = 'queued' OR e.job_was = 'queued')), plans) AS requeue,
           coalesce(bool_or(e.leaves OR e.enters), plans) AS free,
           coalesce(bool_or(e.job_moves OR e.from_count <> e.to_count OR e.cost <> 0), plans) AS count,
           coalesce(bool_or(e.now_excess AND NOT e.was_excess OR e.verdict = 'second'), plans) AS exceed,
           coalesce(bool_or(e.callback IS NOT NULL), plans) AS store
    INTO does FROM unnest(effects) e;
    IF does.apply THEN
        PERFORM dialer.record_attempts_v1(effects);
    END IF;
    IF does.amend THEN
        PERFORM dialer.record_amends_v1(effects);
    END IF;
    -- Before new sids are bound: it marks only those that were known.
    IF does.exceed THEN
        PERFORM dialer.record_second_calls_v1(effects);
    END IF;
    IF does.bind THEN
        bound_sids := dialer.record_sids_v1(effects);
    END IF;
    IF does.move THEN
        PERFORM dialer.record_jobs_v1(effects);
    END IF;
    IF does.requeue THEN
        PERFORM dialer.record_retries_v1(effects);
    END IF;
    IF does.free THEN
        PERFORM dialer.record_lanes_v1(effects);
    END IF;
    IF does.move OR does.exceed THEN
        PERFORM dialer.record_events_v1(effects, bound_sids);
    END IF;
    IF does.count THEN
        ended_runs := dialer.record_runs_v1(effects);
    END IF;
    IF does.store THEN
        PERFORM dialer.record_callbacks_v1(effects);
    END IF;
    RETURN QUERY
    SELECT e.business_id, e.attempt_id, e.verdict, CASE e.verdict WHEN 'applied' THEN e.state ELSE e.was END, e.run_id,
           e.job_id, e.partition, coalesce(e.sid, e.bound),
           e.verdict = 'second' AND e.state <> 'over'
               OR coalesce(e.now_excess OR e.unwanted, FALSE) AND dialer.is_open(e.state)
               OR e.hang_up_at IS NOT NULL
                   AND dialer.is_open(CASE e.verdict WHEN 'applied' THEN e.state ELSE e.was END),
           coalesce(e.run_id = ANY (ended_runs), FALSE)
    FROM unnest(effects) e;
    IF plans OR cardinality(effects) < cardinality(facts) THEN
        RETURN QUERY
        SELECT f.business_id, f.attempt_id,
               CASE WHEN EXISTS (SELECT FROM dialer.attempts a
                                 WHERE a.id = f.attempt_id AND a.business_id = f.business_id AND a.nonce = f.nonce
                                   AND (f.account_sid IS NULL OR a.account_sid = f.account_sid))
                    THEN 'busy' ELSE 'stranger' END,
               NULL::text, NULL::integer, NULL::bigint, NULL::smallint, NULL::text, FALSE, FALSE
        FROM unnest(facts) f
        WHERE NOT EXISTS (SELECT FROM unnest(effects) e WHERE e.attempt_id = f.attempt_id);
    END IF;
END
$$;

-- Updates the attempts whose facts were applied.
CREATE OR REPLACE FUNCTION dialer.record_attempts_v1(effects dialer.record_effect[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- Give the provider time to send its callback before we query it about a call.
    check_unknown CONSTANT interval := '2 seconds';
    check_placed CONSTANT interval := '15 seconds';
    check_live CONSTANT interval := '60 seconds';
    ring_grace CONSTANT interval := '10 seconds';
BEGIN
    UPDATE dialer.attempts a
    SET state = m.state, sid = coalesce(a.sid, m.sid), excess = m.now_excess, reason = coalesce(m.reason, a.reason),
        error_code = coalesce(m.error_code, a.error_code), outcome = coalesce(m.outcome, a.outcome),
        answered_by = coalesce(m.answered_by, a.answered_by), duration = coalesce(m.duration, a.duration),
        sequence = greatest(a.sequence, m.sequence),
        -- Proof that the call exists clears the evidence of its absence.
        evidence = CASE WHEN m.state IN ('placed', 'ringing', 'live')
                        THEN coalesce(m.evidence, a.evidence) - 'missing' - 'missing_late'
                        ELSE coalesce(m.evidence, a.evidence) END,
        hang_up_at = CASE WHEN m.now_excess OR m.unwanted AND dialer.is_open(m.state)
                          THEN coalesce(a.hang_up_at, now()) ELSE a.hang_up_at END,
        placed_at = CASE WHEN m.state IN ('placed', 'ringing', 'live') THEN coalesce(a.placed_at, clock_timestamp())
                         ELSE a.placed_at END,
        ringing_at = CASE m.state WHEN 'ringing' THEN clock_timestamp() ELSE a.ringing_at END,
        answered_at = CASE WHEN m.state = 'live' THEN clock_timestamp() ELSE a.answered_at END,
        ended_at = CASE WHEN dialer.is_open(m.state) THEN NULL ELSE clock_timestamp() END,
        checks = 0,
        next_check_at = CASE m.state WHEN 'unknown' THEN now() + check_unknown
                                     WHEN 'placed' THEN now() + check_placed
                                     WHEN 'ringing' THEN now() + make_interval(secs => a.ring_seconds) + ring_grace
                                     WHEN 'live' THEN now() + check_live END
    FROM unnest(effects) m
    WHERE m.verdict = 'applied' AND a.id = m.attempt_id AND a.business_id + 0 = m.business_id;
END
$$;

-- A known fact changes no state, but may add a sid or `answered_by`, and may change the evidence.
CREATE OR REPLACE FUNCTION dialer.record_amends_v1(effects dialer.record_effect[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dialer.attempts a
    SET sid = coalesce(a.sid, j.sid), answered_by = coalesce(a.answered_by, j.answered_by),
        sequence = greatest(a.sequence, j.sequence),
        evidence = CASE WHEN j.confused THEN j.evidence
                        WHEN j.callback IS NOT NULL THEN a.evidence - 'missing' - 'missing_late'
                        ELSE a.evidence END
    FROM unnest(effects) j WHERE j.verdict = 'known' AND a.id = j.attempt_id AND a.business_id = j.business_id
      AND (a.sid IS NULL AND j.sid IS NOT NULL OR a.answered_by IS NULL AND j.answered_by IS NOT NULL OR j.confused
           OR j.callback IS NOT NULL AND coalesce(a.evidence ? 'missing', FALSE));
END
$$;

-- Binds new sids, and returns them; the sid of a second call is marked as excess.
CREATE OR REPLACE FUNCTION dialer.record_sids_v1(effects dialer.record_effect[])
RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    bound_sids text[];
BEGIN
    WITH sid_bound AS (
        INSERT INTO dialer.call_sids (sid, business_id, attempt_id, excess, over_at)
        SELECT j.sid, j.business_id, j.attempt_id, j.verdict = 'second',
               CASE WHEN j.verdict = 'second' AND j.state = 'over' THEN now() END
        FROM unnest(effects) j
        WHERE j.sid IS NOT NULL AND j.verdict IN ('applied', 'known', 'second') AND j.bound IS DISTINCT FROM j.sid
        ON CONFLICT (sid) DO NOTHING
        RETURNING sid
    )
    SELECT array_agg(s.sid) INTO bound_sids FROM sid_bound s;
    RETURN bound_sids;
END
$$;

-- Marks the second calls that are over. A locked row is skipped, and marked by the next check of that call.
CREATE OR REPLACE FUNCTION dialer.record_second_calls_v1(effects dialer.record_effect[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dialer.call_sids c SET over_at = now()
    FROM (SELECT x.sid, x.business_id
          FROM unnest(effects) j JOIN dialer.call_sids x ON x.sid = j.sid AND x.business_id = j.business_id
          WHERE j.verdict = 'second' AND j.state = 'over' AND x.over_at IS NULL
          ORDER BY x.sid FOR NO KEY UPDATE OF x SKIP LOCKED) free
    WHERE c.sid = free.sid AND c.business_id = free.business_id;
END
$$;

-- Updates the jobs whose status changes.
CREATE OR REPLACE FUNCTION dialer.record_jobs_v1(effects dialer.record_effect[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.outbound_call_jobs j
    SET status = m.job_now,
        attempts = CASE WHEN m.was = 'not_placed' THEN j.attempts + (m.job_now <> 'queued' OR m.retried)::int
                        WHEN m.state IN ('not_sent', 'not_placed') OR m.job_now = 'queued' AND NOT m.retried
                        THEN greatest(j.attempts - 1, 0) ELSE j.attempts END,
        outcome = CASE WHEN m.state = 'over' AND (m.job_now <> 'queued' OR m.retried)
                       THEN dialer.job_outcome(m.outcome, m.known_answerer)
                       ELSE j.outcome END,
        error_message = CASE WHEN m.job_now = 'failed' OR m.retried THEN m.reason END,
        call_sid = coalesce(m.bound, m.sid, j.call_sid),
        twilio_call_sid = coalesce(m.bound, m.sid, j.twilio_call_sid),
        completed_at = CASE WHEN m.job_now IN ('completed', 'failed', 'cancelled') THEN dialer.utc() END
    FROM unnest(effects) m WHERE m.job_moves AND j.id = m.job_id AND j.business_id = m.business_id;
END
$$;

-- What changes for leads that are queued, or no longer.
CREATE OR REPLACE FUNCTION dialer.record_retries_v1(effects dialer.record_effect[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- When the account had too many calls at once (dialer.is_no_fault), call the lead again after this.
    too_many_wait CONSTANT interval := '10 seconds';
BEGIN
    -- Makes the leads that are queued again due before new leads.
    INSERT INTO dialer.retries (business_id, run_id, job_id, zone, due_at, reason)
    SELECT m.business_id, m.run_id, m.job_id, z.zone,
           CASE WHEN m.retried THEN now() + make_interval(secs => m.retry_seconds)
                WHEN m.state = 'over' AND m.withdrawn_at IS NULL THEN now() + too_many_wait ELSE now() END,
           CASE WHEN m.retried THEN 'retry' ELSE m.state END
    FROM unnest(effects) m
    JOIN dialer.run_zones z ON z.run_id = m.run_id AND z.business_id = m.business_id
        AND m.position BETWEEN z.first_position AND z.last_position
    WHERE m.job_moves AND m.job_now = 'queued'
    ON CONFLICT (job_id) DO UPDATE SET due_at = excluded.due_at, reason = excluded.reason;
    -- Deletes the retry of a queued lead whose call turns out to exist.
    DELETE FROM dialer.retries t USING unnest(effects) m
    WHERE m.job_moves AND m.job_was = 'queued' AND m.job_now <> 'queued' AND t.job_id = m.job_id
      AND t.business_id = m.business_id;
END
$$;

-- Frees slots, and takes slots for calls with late proof.
CREATE OR REPLACE FUNCTION dialer.record_lanes_v1(effects dialer.record_effect[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dialer.lanes l
    SET inflight = s.inflight, cap = greatest(l.max_calls, cardinality(s.inflight))
    FROM (SELECT h.business_id,
                 ARRAY(SELECT i FROM unnest(h.inflight) i WHERE i <> ALL (coalesce(m.leaving, '{}')))
                     || coalesce(m.entering, '{}') AS inflight
          FROM (SELECT e.business_id, array_agg(e.attempt_id) FILTER (WHERE e.leaves) AS leaving,
                       array_agg(e.attempt_id) FILTER (WHERE e.enters) AS entering
                FROM unnest(effects) e WHERE e.leaves OR e.enters GROUP BY e.business_id) m
          JOIN dialer.lanes h ON h.business_id = m.business_id
          -- Computed once a lane.
          OFFSET 0) s
    WHERE l.business_id = s.business_id;
END
$$;

-- Writes the events of jobs and of calls beyond the limit; those of a run in this order.
CREATE OR REPLACE FUNCTION dialer.record_events_v1(effects dialer.record_effect[], bound_sids text[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dialer.outbox (business_id, run_id, job_id, type, data)
    SELECT e.business_id, e.run_id, e.job_id, e.type, e.data FROM (
        SELECT 1 AS nth, m.business_id, m.run_id, m.job_id, 'job.changed' AS type,
               jsonb_build_object(
                   'status', m.job_now, 'lead_id', m.lead_id, 'twilio_call_sid', coalesce(m.bound, m.sid),
                   'outcome', CASE WHEN m.state = 'over' THEN dialer.job_outcome(m.outcome, m.known_answerer) END,
                   'duration', m.duration) AS data
        FROM unnest(effects) m WHERE m.job_moves AND m.job_now IN ('completed', 'failed', 'cancelled')
        UNION ALL
        SELECT 2, m.business_id, m.run_id, m.job_id, 'call.excess', jsonb_build_object('attempt_id', m.attempt_id)
        FROM unnest(effects) m
        WHERE m.now_excess AND NOT m.was_excess OR m.verdict = 'second' AND m.sid = ANY (bound_sids)
    ) e ORDER BY e.run_id, e.nth, e.job_id;
END
$$;

-- Updates the counters of the runs, ends a run with no leads left, and pauses one whose calls fail because of the
-- account; writes the events of these, and returns the runs that ended.
CREATE OR REPLACE FUNCTION dialer.record_runs_v1(effects dialer.record_effect[])
RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    account_refused CONSTANT text := 'The provider refuses this account or its number (%s)';
    ended_runs integer[];
BEGIN
    WITH delta AS MATERIALIZED (
        -- The change of each run's counters.
        SELECT m.business_id, m.run_id,
               sum((m.to_count = 'queued')::int - (m.from_count = 'queued')::int)::int AS queued,
               sum((m.to_count = 'in_progress')::int - (m.from_count = 'in_progress')::int)::int AS in_progress,
               sum((m.to_count = 'completed')::int - (m.from_count = 'completed')::int)::int AS completed,
               sum((m.to_count = 'failed')::int - (m.from_count = 'failed')::int)::int AS failed,
               sum((m.to_count = 'cancelled')::int - (m.from_count = 'cancelled')::int)::int AS cancelled,
               sum((m.to_count = 'skipped')::int - (m.from_count = 'skipped')::int)::int AS skipped,
               -- Calls that turn out not to be placed do not count for the budget.
               sum((m.was = 'not_placed')::int - (m.state IN ('not_sent', 'not_placed'))::int)::int AS calls,
               sum(m.cost) AS cost,
               max(m.error_code) FILTER (WHERE m.job_now = 'queued' AND m.state = 'over'
                                         AND dialer.is_account_fault(m.error_code)) AS account_fault
        FROM unnest(effects) m
        WHERE m.from_count <> m.to_count OR m.was = 'not_placed' AND m.job_moves OR m.cost <> 0
        GROUP BY m.business_id, m.run_id
    ), counted AS (
        -- Updates the counters; ends a run with no leads left, and pauses one whose calls fail because of the
        -- account.
        UPDATE public.outbound_call_runs r
        SET queued_count = r.queued_count + d.queued, in_progress_count = r.in_progress_count + d.in_progress,
            completed_count = r.completed_count + d.completed, failed_count = r.failed_count + d.failed,
            cancelled_count = r.cancelled_count + d.cancelled, skipped_count = r.skipped_count + d.skipped,
            calls_count = greatest(r.calls_count + d.calls, 0), amount_spent = r.amount_spent + d.cost,
            updated_at = dialer.utc(),
            status = CASE WHEN d.ends THEN CASE WHEN r.cancel_requested THEN 'cancelled' ELSE 'completed' END
                WHEN d.pauses THEN 'paused' ELSE r.status END,
            last_error = CASE WHEN d.pauses THEN format(account_refused, d.account_fault) ELSE r.last_error END,
            last_error_cause = CASE WHEN d.pauses
                THEN jsonb_build_object('kind', 'account_refused', 'code', d.account_fault)
                ELSE r.last_error_cause END,
            ended_at = CASE WHEN d.ends THEN dialer.utc() ELSE r.ended_at END,
            completed_at = CASE WHEN d.ends THEN dialer.utc() ELSE r.completed_at END
        FROM (SELECT d.*, n.queued_count + d.queued = 0 AND n.in_progress_count + d.in_progress = 0
                          AND n.status IN ('running', 'paused') AND n.started_at IS NOT NULL AS ends,
                     d.account_fault IS NOT NULL AND n.status = 'running' AND NOT n.cancel_requested AS pauses,
                     n.status NOT IN ('running', 'paused') AND n.in_progress_count > 0
                         AND n.in_progress_count + d.in_progress = 0 AS drained
              FROM delta d JOIN public.outbound_call_runs n ON n.id = d.run_id AND n.business_id + 0 = d.business_id) d
        WHERE r.id = d.run_id AND r.business_id + 0 = d.business_id
        RETURNING r.business_id, r.id AS run_id, r.status, d.ends, d.drained, d.pauses, r.last_error,
                  r.last_error_cause, r.total_leads, r.completed_count, r.failed_count, r.cancelled_count,
                  r.skipped_count
    ), event AS (
        INSERT INTO dialer.outbox (business_id, run_id, type, data)
        SELECT c.business_id, c.run_id, CASE WHEN c.ends THEN 'run.finished' ELSE 'run.drained' END,
               jsonb_build_object('status', c.status, 'total_leads', c.total_leads, 'completed', c.completed_count,
                                  'failed', c.failed_count, 'cancelled', c.cancelled_count,
                                  'skipped', c.skipped_count)
        FROM counted c WHERE c.ends OR c.drained
        UNION ALL
        SELECT c.business_id, c.run_id, 'run.paused',
               jsonb_build_object('last_error', c.last_error, 'last_error_cause', c.last_error_cause)
        FROM counted c WHERE c.pauses AND NOT c.ends
        ORDER BY 2
    )
    SELECT array_agg(c.run_id) FILTER (WHERE c.ends) INTO ended_runs FROM counted c;
    RETURN ended_runs;
END
$$;

-- Stores each callback once.
CREATE OR REPLACE FUNCTION dialer.record_callbacks_v1(effects dialer.record_effect[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dialer.callbacks (business_id, attempt_id, digest, fields, verdict, answer)
    SELECT j.business_id, j.attempt_id, md5(j.callback::text)::uuid, j.callback, j.verdict, 204
    FROM unnest(effects) j WHERE j.callback IS NOT NULL
    ON CONFLICT (attempt_id, digest) DO NOTHING;
END
$$;
