-- Records facts about attempts: a response of the provider, a callback, a listing, or the worker's report that a POST
-- was never sent. At most one fact per attempt in each call of the function; the same fact again changes nothing.
--
-- A fact never lowers the rank of an attempt. A fact that ends an open attempt frees its slot, updates its job and the
-- run's counters, and ends the run when this was its last lead, all in this statement. not_sent is accepted only from
-- the worker that holds the attempt's token, not_placed only from the partition's owner or a person; any other fact is
-- proof, whatever its source.
-- Verdicts:
--   applied   it changed the attempt
--   known     nothing new
--   refused   not allowed in this state, or not from this worker; or the sid belongs to another attempt
--   stranger  no such attempt, or the nonce differs, or it is of another account than the fact
--   second    the sid is not the one bound to the attempt: a second call exists, recorded as excess, to be hung up
--   busy      a row it has to write (lane, run, attempt or job) is locked by another session: retry in a few ms
-- long: its steps share 35 columns, see docs/decisions/0014-claim-in-steps-record-in-one-statement.md
CREATE OR REPLACE FUNCTION dialer.record_v1(p_facts jsonb)
RETURNS TABLE (business_id integer, attempt_id bigint, verdict text, state text, run_id integer, job_id bigint,
               partition smallint, sid text, hang_up boolean, run_ended boolean)
LANGUAGE plpgsql
-- Planned once per session, using the indexes: see claim_v1.sql.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
-- SKIP LOCKED does not prevent waiting for a key that another session is inserting. Such a wait is rare, and must be
-- short, since up to 32 businesses are delayed by it.
SET lock_timeout = '100ms'
AS $$
#variable_conflict use_column
DECLARE
    -- Give the provider time to send its callback before we query it about a call.
    check_unknown CONSTANT interval := '2 seconds';
    check_placed CONSTANT interval := '15 seconds';
    check_live CONSTANT interval := '60 seconds';
    ring_grace CONSTANT interval := '10 seconds';
    -- After send_by, a worker can no longer send its attempt, and has this long to report the result.
    unknown_after CONSTANT interval := '2 seconds';
    -- When the account had too many calls at once (dialer.is_no_fault), call the lead again after this.
    too_many_wait CONSTANT interval := '10 seconds';
    account_refused CONSTANT text := 'The provider refuses this account or its number (%s)';
    facts dialer.fact[] := ARRAY(SELECT jsonb_populate_record(NULL::dialer.fact, f)
                                 FROM jsonb_array_elements(p_facts) f);
    held_lanes integer[];
    held_runs integer[];
    held_attempts bigint[];
    held_jobs bigint[];
    held_retries bigint[];
BEGIN
    -- Commit asynchronously: locks are released before the flush; the caller flushes (sql/pool.py, `flush`).
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    held_lanes := ARRAY(SELECT l.business_id FROM dialer.lanes l
                        WHERE l.business_id IN (SELECT f.business_id FROM unnest(facts) f)
                        ORDER BY l.business_id FOR NO KEY UPDATE SKIP LOCKED);
    held_runs := ARRAY(SELECT r.id FROM public.outbound_call_runs r
                       WHERE r.id IN (SELECT a.run_id FROM unnest(facts) f
                                      JOIN dialer.attempts a ON a.id = f.attempt_id AND a.business_id = f.business_id
                                      WHERE f.business_id = ANY (held_lanes)
                                        AND dialer.concerns_run(a.state, f.state, a.sid, f.sid))
                       ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED);
    held_attempts := ARRAY(SELECT a.id FROM unnest(facts) f
                           JOIN dialer.attempts a ON a.id = f.attempt_id AND a.business_id = f.business_id
                           WHERE f.business_id = ANY (held_lanes) ORDER BY a.id FOR NO KEY UPDATE OF a SKIP LOCKED);
    held_jobs := ARRAY(SELECT j.id FROM public.outbound_call_jobs j
                       WHERE j.id IN (SELECT a.job_id FROM unnest(facts) f
                                      JOIN dialer.attempts a ON a.id = f.attempt_id AND a.business_id = f.business_id
                                      WHERE a.id = ANY (held_attempts) AND dialer.concerns_job(a.state, f.state))
                       ORDER BY j.id FOR NO KEY UPDATE SKIP LOCKED);
    held_retries := ARRAY(SELECT t.job_id FROM dialer.retries t WHERE t.job_id = ANY (held_jobs)
                          ORDER BY t.job_id FOR UPDATE SKIP LOCKED);
    held_jobs := ARRAY(SELECT j FROM unnest(held_jobs) j
                       WHERE j = ANY (held_retries) OR NOT EXISTS (SELECT FROM dialer.retries t WHERE t.job_id = j));
    RETURN QUERY
    WITH fact AS MATERIALIZED (
        -- The facts whose attempts we have locked. `elsewhere`: the sid is bound to another attempt. `confused`: the
        -- response to the attempt's own POST gave such a sid, so it is unclear which call belongs to which attempt;
        -- only a callback or a person can decide.
        SELECT f.business_id, f.attempt_id, f.nonce, f.token, f.outcome, f.answered_by, f.duration, f.sequence,
               f.error_code,
               f.owner, f.epoch, f.lag_seconds, f.by_person, f.callback, c.confused,
               c.elsewhere AND NOT c.confused AS elsewhere,
               CASE WHEN c.confused THEN 'unknown' ELSE f.state END AS state,
               CASE WHEN NOT c.confused THEN f.sid END AS sid,
               CASE WHEN c.confused THEN 'the provider answered with the call of another attempt'
                   ELSE f.reason END AS reason,
               CASE WHEN c.confused THEN coalesce(a.evidence, '{}') || '{"confused": true}'
                   ELSE f.evidence END AS evidence
        FROM unnest(facts) f
        JOIN dialer.attempts a ON a.id = f.attempt_id AND a.business_id = f.business_id AND a.nonce = f.nonce
            AND (f.account_sid IS NULL OR a.account_sid = f.account_sid)
        CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM dialer.call_sids c WHERE c.sid = f.sid AND c.attempt_id <> a.id) AS elsewhere
            -- Looked up once: without OFFSET the planner would repeat it for each column that depends on it.
            OFFSET 0) e
        CROSS JOIN LATERAL (
            SELECT e.elsewhere,
                   e.elsewhere AND a.state IN ('placing', 'unknown')
                       AND coalesce(a.token = f.token, FALSE) AS confused) c
        WHERE a.id = ANY (held_attempts)
    ), located AS MATERIALIZED (
        -- The facts whose run and job we have locked too, where needed; each with its rows as they were before.
        SELECT f.*, a.state AS was, a.sid AS bound, a.token AS holder, a.send_by, a.hang_up_at, a.excess AS was_excess,
               a.run_id, a.job_id, a.withdrawn_at, a.evidence AS known_evidence, a.ring_seconds, a.minute_price,
               a.max_cost,
               coalesce(f.answered_by, a.answered_by) AS known_answerer, l.partition,
               l.max_calls - cardinality(l.inflight) AS room, j.status AS job_was, j.attempt_id = a.id AS newest,
               coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id, r.cancel_requested,
               r.status AS run_was, j.position,
               CASE WHEN r.settings ? 'retries' THEN r.settings -> 'retries' ELSE b.retries END AS retries,
               dialer.rank_of(a.state) AS rank_was, dialer.rank_of(f.state) AS rank_now
        FROM fact f
        JOIN dialer.attempts a ON a.id = f.attempt_id AND a.business_id = f.business_id AND a.nonce = f.nonce
        JOIN dialer.lanes l ON l.business_id = a.business_id
        JOIN public.outbound_call_jobs j ON j.id = a.job_id AND j.business_id = a.business_id
        JOIN public.outbound_call_runs r ON r.id = a.run_id AND r.business_id = a.business_id
        JOIN dialer.businesses b ON b.business_id = a.business_id
        WHERE (a.run_id = ANY (held_runs) OR NOT dialer.concerns_run(a.state, f.state, a.sid, f.sid))
          AND (a.job_id = ANY (held_jobs) OR NOT dialer.concerns_job(a.state, f.state))
    ), judged AS MATERIALIZED (
        -- The verdict on each fact.
        SELECT b.*, CASE
                -- Checked first: as 'second', such a fact would hang up another attempt's call.
                WHEN b.elsewhere THEN 'refused'
                WHEN b.sid IS NOT NULL AND b.bound IS NOT NULL AND b.sid <> b.bound THEN 'second'
                WHEN b.state = 'not_sent' THEN
                    CASE WHEN b.was = 'placing' AND b.holder = b.token THEN 'applied' ELSE 'refused' END
                WHEN b.state = 'unknown' THEN
                    CASE WHEN b.was = 'placing' AND (b.holder = b.token OR now() > b.send_by + unknown_after)
                         THEN 'applied' ELSE 'known' END
                WHEN b.state = 'not_placed' THEN
                    CASE WHEN b.by_person AND dialer.is_open(b.was) AND b.was <> 'placing'
                             AND (b.bound IS NULL OR b.known_evidence ? 'missing')
                         THEN 'applied'
                         WHEN b.was = 'unknown' AND NOT coalesce(b.known_evidence ? 'confused', FALSE)
                             AND now() > b.send_by + make_interval(secs => b.lag_seconds)
                             AND EXISTS (SELECT FROM dialer.partitions o
                                         WHERE o.partition = b.partition AND o.owner = b.owner AND o.epoch = b.epoch)
                         THEN 'applied' ELSE 'refused' END
                WHEN b.rank_was >= 9 THEN 'known'
                -- After not_placed, any proof is late proof: the call exists after all.
                WHEN b.was = 'not_placed' OR b.rank_now > b.rank_was THEN 'applied'
                ELSE 'known' END AS verdict
        FROM located b
    ), effects AS MATERIALIZED (
        -- The effect of each applied fact on the lane and the job: whether its attempt leaves its slot or takes one
        -- again, and the job's status afterwards. `unwanted`: late proof of a call whose lead was cancelled meanwhile,
        -- or ended by a rule; that call is hung up, and the lead is never called again.
        SELECT j.*, t.unwanted, dialer.is_open(j.was) AND NOT j.was_excess AND NOT dialer.is_open(j.state) AS leaves,
               j.was = 'not_placed' AND j.newest AND dialer.is_open(j.state)
               AND row_number() OVER (PARTITION BY j.business_id, j.was = 'not_placed' ORDER BY j.attempt_id) <= j.room
                   AS enters,
               dialer.counted_as(j.job_was, j.cancel_requested) AS from_count, t.retry_seconds,
               CASE WHEN NOT j.newest THEN j.job_was
                    WHEN t.retry_seconds IS NOT NULL THEN 'queued'
                    WHEN j.state = 'over' AND dialer.is_no_fault(j.outcome, j.error_code, j.withdrawn_at) THEN
                        CASE WHEN t.unwanted THEN j.job_was
                             WHEN j.cancel_requested OR j.hang_up_at IS NOT NULL THEN 'cancelled' ELSE 'queued' END
                    WHEN j.state = 'over' THEN dialer.job_after(j.outcome)
                    WHEN j.state = 'live' THEN 'calling'
                    WHEN j.state IN ('not_sent', 'not_placed') THEN
                        CASE WHEN j.cancel_requested OR j.hang_up_at IS NOT NULL THEN 'cancelled' ELSE 'queued' END
                    WHEN j.was = 'not_placed' THEN 'dialing'
                    ELSE j.job_was END AS job_now
        FROM judged j
        CROSS JOIN LATERAL (
            SELECT j.newest AND j.was = 'not_placed'
                       AND j.job_was IN ('completed', 'failed', 'cancelled', 'skipped') AS unwanted) u
        CROSS JOIN LATERAL (
            -- A person who says that a call is over does not ask for another one.
            SELECT u.unwanted,
                   CASE WHEN j.newest AND j.state = 'over' AND NOT j.cancel_requested AND NOT u.unwanted
                             AND NOT coalesce(j.by_person, FALSE)
                             AND j.retries ? dialer.job_outcome(j.outcome, j.known_answerer)
                             AND j.hang_up_at IS NULL AND j.run_was IN ('running', 'paused')
                             AND NOT dialer.is_no_fault(j.outcome, j.error_code, j.withdrawn_at)
                        THEN dialer.retry_seconds(j.business_id, j.job_id, j.attempt_id,
                                                  dialer.job_outcome(j.outcome, j.known_answerer), j.retries)
                   END AS retry_seconds) t
        WHERE j.verdict = 'applied'
    ), moved AS MATERIALIZED (
        -- The effect on the counters; an attempt for which no slot is left is excess. Late proof of a call that is over
        -- moves its lead even from queued to queued: there was a call, and the pause after it begins.
        SELECT e.*, e.job_now <> e.job_was
                   OR e.newest AND e.was = 'not_placed' AND e.state = 'over' AND e.job_now = 'queued' AS job_moves,
               e.job_now = 'queued' AND e.retry_seconds IS NOT NULL AS retried,
               dialer.counted_as(e.job_now, e.cancel_requested) AS to_count,
               e.was = 'not_placed' AND NOT e.enters AND dialer.is_open(e.state) OR e.was_excess AS now_excess,
               dialer.cost_of(e.state, e.outcome, e.duration, e.minute_price, e.max_cost)
                   - dialer.cost_of(e.was, NULL, NULL, e.minute_price, e.max_cost) AS cost
        FROM effects e
    ), attempt AS (
        -- Updates the attempts.
        UPDATE dialer.attempts a
        SET state = m.state, sid = coalesce(a.sid, m.sid), excess = m.now_excess, reason = coalesce(m.reason, a.reason),
            error_code = coalesce(m.error_code, a.error_code), outcome = coalesce(m.outcome, a.outcome),
            answered_by = coalesce(m.answered_by, a.answered_by), duration = coalesce(m.duration, a.duration),
            sequence = greatest(a.sequence, m.sequence),
            -- Proof that the call exists clears the evidence of its absence.
            evidence = CASE WHEN m.rank_now BETWEEN 3 AND 5
                            THEN coalesce(m.evidence, a.evidence) - 'missing' - 'missing_late'
                            ELSE coalesce(m.evidence, a.evidence) END,
            hang_up_at = CASE WHEN m.now_excess OR m.unwanted AND dialer.is_open(m.state)
                              THEN coalesce(a.hang_up_at, now()) ELSE a.hang_up_at END,
            placed_at = CASE WHEN m.rank_now BETWEEN 3 AND 5 THEN coalesce(a.placed_at, clock_timestamp())
                             ELSE a.placed_at END,
            ringing_at = CASE m.state WHEN 'ringing' THEN clock_timestamp() ELSE a.ringing_at END,
            answered_at = CASE WHEN m.state = 'live' THEN clock_timestamp() ELSE a.answered_at END,
            ended_at = CASE WHEN dialer.is_open(m.state) THEN NULL ELSE clock_timestamp() END,
            checks = 0,
            next_check_at = CASE m.state WHEN 'unknown' THEN now() + check_unknown
                                         WHEN 'placed' THEN now() + check_placed
                                         WHEN 'ringing' THEN now() + make_interval(secs => a.ring_seconds) + ring_grace
                                         WHEN 'live' THEN now() + check_live END
        FROM moved m WHERE a.id = m.attempt_id AND a.business_id = m.business_id
    ), amended AS (
        -- A known fact changes no state, but may add a sid or `answered_by`, and may change the evidence.
        UPDATE dialer.attempts a
        SET sid = coalesce(a.sid, j.sid), answered_by = coalesce(a.answered_by, j.answered_by),
            sequence = greatest(a.sequence, j.sequence),
            evidence = CASE WHEN j.confused THEN j.evidence
                            WHEN j.callback IS NOT NULL THEN a.evidence - 'missing' - 'missing_late'
                            ELSE a.evidence END
        FROM judged j WHERE j.verdict = 'known' AND a.id = j.attempt_id AND a.business_id = j.business_id
          AND (a.sid IS NULL AND j.sid IS NOT NULL OR a.answered_by IS NULL AND j.answered_by IS NOT NULL OR j.confused
               OR j.callback IS NOT NULL AND coalesce(a.evidence ? 'missing', FALSE))
    ), sid_bound AS (
        -- Binds new sids; the sid of a second call is marked as excess.
        INSERT INTO dialer.call_sids (sid, business_id, attempt_id, excess, over_at)
        SELECT j.sid, j.business_id, j.attempt_id, j.verdict = 'second',
               CASE WHEN j.verdict = 'second' AND j.state = 'over' THEN now() END
        FROM judged j
        WHERE j.sid IS NOT NULL AND j.verdict IN ('applied', 'known', 'second') AND j.bound IS DISTINCT FROM j.sid
        ON CONFLICT (sid) DO NOTHING
        RETURNING sid, attempt_id
    ), second_over AS (
        -- Marks the second calls that are over. A locked row is skipped, and marked by the next check of that call.
        UPDATE dialer.call_sids c SET over_at = now()
        FROM (SELECT x.sid, x.business_id
              FROM judged j JOIN dialer.call_sids x ON x.sid = j.sid AND x.business_id = j.business_id
              WHERE j.verdict = 'second' AND j.state = 'over' AND x.over_at IS NULL
              ORDER BY x.sid FOR NO KEY UPDATE OF x SKIP LOCKED) free
        WHERE c.sid = free.sid AND c.business_id = free.business_id
    ), job AS (
        -- Updates the jobs.
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
        FROM moved m WHERE m.job_moves AND j.id = m.job_id AND j.business_id = m.business_id
    ), requeued AS (
        -- Makes the leads that are queued again due before new leads.
        INSERT INTO dialer.retries (business_id, run_id, job_id, zone, due_at, reason)
        SELECT m.business_id, m.run_id, m.job_id, z.zone,
               CASE WHEN m.retried THEN now() + make_interval(secs => m.retry_seconds)
                    WHEN m.state = 'over' AND m.withdrawn_at IS NULL THEN now() + too_many_wait ELSE now() END,
               CASE WHEN m.retried THEN 'retry' ELSE m.state END
        FROM moved m
        JOIN dialer.run_zones z ON z.run_id = m.run_id AND z.business_id = m.business_id
            AND m.position BETWEEN z.first_position AND z.last_position
        WHERE m.job_moves AND m.job_now = 'queued'
        ON CONFLICT (job_id) DO UPDATE SET due_at = excluded.due_at, reason = excluded.reason
    ), taken_back AS (
        -- Deletes the retry of a queued lead whose call turns out to exist.
        DELETE FROM dialer.retries t USING moved m
        WHERE m.job_moves AND m.job_was = 'queued' AND m.job_now <> 'queued' AND t.job_id = m.job_id
          AND t.business_id = m.business_id
    ), lane AS (
        -- Frees slots, and takes slots for calls with late proof.
        UPDATE dialer.lanes l
        SET inflight = s.inflight, cap = greatest(l.max_calls, cardinality(s.inflight))
        FROM (SELECT h.business_id, ARRAY(
                         SELECT i FROM unnest(h.inflight) i
                         WHERE i NOT IN (SELECT m.attempt_id FROM moved m
                                         WHERE m.leaves AND m.business_id = h.business_id)
                         UNION ALL SELECT m.attempt_id FROM moved m
                             WHERE m.enters AND m.business_id = h.business_id) AS inflight
              FROM dialer.lanes h WHERE h.business_id IN (SELECT m.business_id FROM moved m
                                                          WHERE m.leaves OR m.enters)) s
        WHERE l.business_id = s.business_id
    ), delta AS MATERIALIZED (
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
        FROM moved m WHERE m.from_count <> m.to_count OR m.was = 'not_placed' AND m.job_moves OR m.cost <> 0
        GROUP BY m.business_id, m.run_id
    ), counted AS (
        -- Updates the counters; ends a run with no leads left, and pauses one whose calls fail because of the account.
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
              FROM delta d JOIN public.outbound_call_runs n ON n.id = d.run_id AND n.business_id = d.business_id) d
        WHERE r.id = d.run_id AND r.business_id = d.business_id
        RETURNING r.business_id, r.id AS run_id, r.status, d.ends, d.drained, d.pauses, r.last_error,
                  r.last_error_cause, r.total_leads, r.completed_count, r.failed_count, r.cancelled_count,
                  r.skipped_count
    ), event AS (
        -- Writes the events; those of a run in the order job, excess, run.
        INSERT INTO dialer.outbox (business_id, run_id, job_id, type, data)
        SELECT e.business_id, e.run_id, e.job_id, e.type, e.data FROM (
            SELECT 1 AS nth, m.business_id, m.run_id, m.job_id, 'job.changed' AS type,
                   jsonb_build_object(
                       'status', m.job_now, 'lead_id', m.lead_id, 'twilio_call_sid', coalesce(m.bound, m.sid),
                       'outcome', CASE WHEN m.state = 'over' THEN dialer.job_outcome(m.outcome, m.known_answerer) END,
                       'duration', m.duration) AS data
            FROM moved m WHERE m.job_moves AND m.job_now IN ('completed', 'failed', 'cancelled')
            UNION ALL
            SELECT 2, m.business_id, m.run_id, m.job_id, 'call.excess', jsonb_build_object('attempt_id', m.attempt_id)
            FROM (SELECT v.business_id, v.run_id, v.job_id, v.attempt_id FROM moved v
                  WHERE v.now_excess AND NOT v.was_excess
                  UNION ALL
                  SELECT j.business_id, j.run_id, j.job_id, j.attempt_id FROM judged j JOIN sid_bound s ON s.sid = j.sid
                  WHERE j.verdict = 'second') m
            UNION ALL
            SELECT 3, c.business_id, c.run_id, NULL, CASE WHEN c.ends THEN 'run.finished' ELSE 'run.drained' END,
                   jsonb_build_object('status', c.status, 'total_leads', c.total_leads, 'completed', c.completed_count,
                                      'failed', c.failed_count, 'cancelled', c.cancelled_count,
                                      'skipped', c.skipped_count)
            FROM counted c WHERE c.ends OR c.drained
            UNION ALL
            SELECT 3, c.business_id, c.run_id, NULL, 'run.paused',
                   jsonb_build_object('last_error', c.last_error, 'last_error_cause', c.last_error_cause)
            FROM counted c WHERE c.pauses AND NOT c.ends
        ) e ORDER BY e.run_id, e.nth, e.job_id
    ), callback AS (
        -- Stores each callback once.
        INSERT INTO dialer.callbacks (business_id, attempt_id, digest, fields, verdict, answer)
        SELECT j.business_id, j.attempt_id, md5(j.callback::text)::uuid, j.callback, j.verdict, 204
        FROM judged j WHERE j.callback IS NOT NULL
        ON CONFLICT (attempt_id, digest) DO NOTHING
    )
    SELECT f.business_id, f.attempt_id,
           coalesce(j.verdict, CASE WHEN EXISTS (SELECT FROM dialer.attempts a
                                                 WHERE a.id = f.attempt_id AND a.business_id = f.business_id
                                                   AND a.nonce = f.nonce
                                                   AND (f.account_sid IS NULL OR a.account_sid = f.account_sid))
                             THEN 'busy' ELSE 'stranger' END),
           CASE j.verdict WHEN 'applied' THEN j.state ELSE j.was END, j.run_id, j.job_id, j.partition,
           coalesce(j.sid, j.bound),
           j.verdict = 'second' AND j.state <> 'over'
               OR coalesce(m.now_excess OR m.unwanted, FALSE) AND dialer.is_open(m.state)
               OR j.hang_up_at IS NOT NULL
                   AND dialer.is_open(CASE j.verdict WHEN 'applied' THEN j.state ELSE j.was END),
           coalesce(c.ends, FALSE)
    FROM unnest(facts) f
    LEFT JOIN judged j ON j.attempt_id = f.attempt_id
    LEFT JOIN moved m ON m.attempt_id = f.attempt_id
    LEFT JOIN counted c ON c.run_id = j.run_id;
END
$$;
