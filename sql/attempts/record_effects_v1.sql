-- The verdict on each fact whose rows are locked, and what it changes; decided here and written nowhere
-- (dialer.record_v1 does that). A fact without an effect here is busy, or of a stranger. The verdicts are explained in
-- record_v1.sql.
-- long: its steps share 35 columns, see docs/decisions/0014-claim-and-record-in-steps.md
CREATE OR REPLACE FUNCTION dialer.record_effects_v1(
    facts dialer.fact[], held_attempts bigint[], held_runs integer[], held_jobs bigint[])
RETURNS dialer.record_effect[]
LANGUAGE plpgsql AS $$
DECLARE
    -- After send_by, a worker can no longer send its attempt, and has this long to report the result.
    unknown_after CONSTANT interval := '2 seconds';
BEGIN
    RETURN ARRAY(
        WITH located AS MATERIALIZED (
            -- The facts whose attempt we have locked, and whose run and job too, where needed; each with its rows as
            -- they were before. `elsewhere`: the sid is bound to another attempt. `confused`: the response to the
            -- attempt's own POST gave such a sid, so it is unclear which call belongs to which attempt; only a callback
            -- or a person can decide.
            SELECT f.business_id, f.attempt_id, f.token, f.outcome, f.answered_by, f.duration, f.sequence, f.error_code,
                   f.owner, f.epoch, f.lag_seconds, f.by_person, f.callback, c.confused,
                   e.elsewhere AND NOT c.confused AS elsewhere, s.state, s.sid,
                   CASE WHEN c.confused THEN 'the provider answered with the call of another attempt'
                       ELSE f.reason END AS reason,
                   CASE WHEN c.confused THEN coalesce(a.evidence, '{}') || '{"confused": true}'
                       ELSE f.evidence END AS evidence,
                   a.state AS was, a.sid AS bound, a.token AS holder, a.send_by, a.hang_up_at, a.excess AS was_excess,
                   a.run_id, a.job_id, a.withdrawn_at, a.evidence AS known_evidence, a.minute_price, a.max_cost,
                   coalesce(f.answered_by, a.answered_by) AS known_answerer, l.partition,
                   l.max_calls - cardinality(l.inflight) AS room, j.status AS job_was, j.attempt_id = a.id AS newest,
                   coalesce(to_jsonb(j.external_id), to_jsonb(j.lead_id)) AS lead_id, r.cancel_requested,
                   r.status AS run_was, j.position,
                   CASE WHEN r.settings ? 'retries' THEN r.settings -> 'retries' ELSE b.retries END AS retries,
                   dialer.rank_of(a.state) AS rank_was, dialer.rank_of(s.state) AS rank_now
            FROM unnest(facts) f
            JOIN dialer.attempts a ON a.id = f.attempt_id AND a.business_id + 0 = f.business_id AND a.nonce = f.nonce
                AND (f.account_sid IS NULL OR a.account_sid = f.account_sid)
            JOIN dialer.lanes l ON l.business_id = a.business_id
            JOIN public.outbound_call_jobs j ON j.id = a.job_id AND j.business_id = a.business_id
            JOIN public.outbound_call_runs r ON r.id = a.run_id AND r.business_id + 0 = a.business_id
            JOIN dialer.businesses b ON b.business_id = a.business_id
            CROSS JOIN LATERAL (
                SELECT EXISTS (SELECT FROM dialer.call_sids c WHERE c.sid = f.sid AND c.attempt_id <> a.id) AS elsewhere
                -- Looked up once: without OFFSET the planner would repeat it for each column that depends on it.
                OFFSET 0) e
            CROSS JOIN LATERAL (
                SELECT e.elsewhere AND a.state IN ('placing', 'unknown')
                           AND coalesce(a.token = f.token, FALSE) AS confused) c
            CROSS JOIN LATERAL (
                SELECT CASE WHEN c.confused THEN 'unknown' ELSE f.state END AS state,
                       CASE WHEN NOT c.confused THEN f.sid END AS sid) s
            WHERE a.id = ANY (held_attempts)
              AND (a.run_id = ANY (held_runs) OR NOT dialer.concerns_run(a.state, s.state, a.sid, s.sid))
              AND (a.job_id = ANY (held_jobs) OR NOT dialer.concerns_job(a.state, s.state))
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
                                             WHERE o.partition = b.partition
                                               AND o.owner = b.owner AND o.epoch = b.epoch)
                             THEN 'applied' ELSE 'refused' END
                    WHEN b.rank_was >= 9 THEN 'known'
                    -- After not_placed, any proof is late proof: the call exists after all.
                    WHEN b.was = 'not_placed' OR b.rank_now > b.rank_was THEN 'applied'
                    ELSE 'known' END AS verdict
            FROM located b
        ), effects AS MATERIALIZED (
            -- The effect of each applied fact on the lane and the job: whether its attempt leaves its slot or takes one
            -- again, and the job's status afterwards. `unwanted`: late proof of a call whose lead was cancelled
            -- meanwhile, or ended by a rule; that call is hung up, and the lead is never called again.
            SELECT j.*, t.unwanted,
                   dialer.is_open(j.was) AND NOT j.was_excess AND NOT dialer.is_open(j.state) AS leaves,
                   j.was = 'not_placed' AND j.newest AND dialer.is_open(j.state)
                   AND row_number() OVER (PARTITION BY j.business_id, j.was = 'not_placed' ORDER BY j.attempt_id)
                       <= j.room AS enters,
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
        )
        -- The effect on the counters; an attempt for which no slot is left is excess. Late proof of a call that is over
        -- moves its lead even from queued to queued: there was a call, and the pause after it begins.
        SELECT ROW(e.business_id, e.attempt_id, e.verdict, e.run_id, e.job_id, e.partition, e.was, e.state,
                   e.bound, e.sid, e.outcome, e.answered_by, e.known_answerer, e.duration, e.sequence,
                   e.error_code, e.reason, e.confused, e.evidence, e.callback, e.hang_up_at, e.withdrawn_at,
                   e.was_excess, e.was = 'not_placed' AND NOT e.enters AND dialer.is_open(e.state) OR e.was_excess,
                   e.unwanted, e.leaves, e.enters, e.lead_id, e.position, e.job_was, e.job_now,
                   e.job_now <> e.job_was
                   OR e.newest AND e.was = 'not_placed' AND e.state = 'over' AND e.job_now = 'queued',
                   e.job_now = 'queued' AND e.retry_seconds IS NOT NULL, e.retry_seconds, e.from_count,
                   dialer.counted_as(e.job_now, e.cancel_requested),
                   dialer.cost_of(e.state, e.outcome, e.duration, e.minute_price, e.max_cost)
                       - dialer.cost_of(e.was, NULL, NULL, e.minute_price, e.max_cost))::dialer.record_effect
        FROM effects e
        UNION ALL
        SELECT ROW(j.business_id, j.attempt_id, j.verdict, j.run_id, j.job_id, j.partition, j.was, j.state,
                   j.bound, j.sid, j.outcome, j.answered_by, j.known_answerer, j.duration, j.sequence,
                   j.error_code, j.reason, j.confused, j.evidence, j.callback, j.hang_up_at, j.withdrawn_at,
                   j.was_excess, FALSE, FALSE, FALSE, FALSE,
                   j.lead_id, j.position, j.job_was, j.job_was, FALSE, FALSE, NULL, NULL, NULL, 0)::dialer.record_effect
        FROM judged j WHERE j.verdict <> 'applied');
END
$$;
