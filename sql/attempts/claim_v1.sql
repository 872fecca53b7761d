-- Take the next leads of many businesses, with their slots: the only door through which an attempt comes into being.
--
-- Lanes first, then runs, each in id order and only those nobody else holds; then, in a new statement whose snapshot sees all
-- that was committed before the locks, the fence is read and everything is computed. A row that somebody else holds delays nobody: a lead
-- whose job is held is put off, a lead or a time zone whose other rows are held is left where it is. Every business asked gets one verdict:
--   busy       its lane, a run, a time zone or a due lead is locked: ask again in some milliseconds
--   not_owner  the fence names another worker or epoch
--   unlisted   the database may have forgotten calls of this business: what the provider lists is to be compared first (timeline_v1.sql)
--   full       no slot is free any more
--   gate       more leads could be taken, permits are used up
--   again      leads were put off or a stretch of cancelled ones was passed: ask again at once
--   put_off    nothing is due before put_off_until
--   empty      no running run has a lead to take
-- and one row with verdict 'taken' for each attempt.
CREATE OR REPLACE FUNCTION dialer.claim_v1(
    p_incarnation uuid, p_token uuid, p_businesses integer[], p_epochs bigint[], p_permits integer[],
    p_send_seconds double precision, p_ring_seconds integer, p_default_account text)
RETURNS TABLE (business_id integer, verdict text, put_off_until timestamptz, run_id integer, job_id bigint, attempt_id bigint,
               phone text, from_number text, account_sid text, nonce uuid, machine_detection text, record boolean)
LANGUAGE plpgsql
-- Planned once a session, by the indexes: planning anew holds the locked rows as long as the work itself, and a plan made from the
-- statistics of a young or fast growing table reads the whole of it. A cancel waits for these rows.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
-- The rare wait that SKIP LOCKED cannot avoid, for a key that a stranger is inserting, must stay short: 32 businesses share it.
SET lock_timeout = '100ms'
AS $$
#variable_conflict use_column
DECLARE
    -- A cursor passes at most this many rows that are no longer queued in one claim.
    scan CONSTANT integer := 1000;
    -- A lead whose number is on the line for another lead of the business, or whose job is locked, is asked for again after this.
    put_off_wait CONSTANT interval := '5 seconds';
    present CONSTANT integer := (SELECT max(h.id) FROM dialer.timelines h);
    held_lanes integer[];
    held_runs integer[];
BEGIN
    -- The rows are let go of before the disk has answered; the caller waits for it (sql/pool.py, `flush`).
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    held_lanes := ARRAY(SELECT l.business_id FROM dialer.lanes l WHERE l.business_id = ANY (p_businesses)
                        ORDER BY l.business_id FOR NO KEY UPDATE SKIP LOCKED);
    held_runs := ARRAY(SELECT r.id FROM public.outbound_call_runs r WHERE r.business_id = ANY (held_lanes) AND r.status = 'running'
                       ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED);
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT a.business_id, a.permits, l.inflight, l.max_calls - cardinality(l.inflight) AS room, b.caller_id,
               coalesce(b.account_sid, p_default_account) AS account_sid,
               a.business_id = ANY (held_lanes) AS held, coalesce(l.timeline = present, FALSE) AS listed,
               -- A partition that was given back has no owner: NULL is nobody's.
               coalesce(f.owner = p_incarnation AND f.epoch = a.epoch, FALSE) AS mine
        FROM unnest(p_businesses, p_epochs, p_permits) AS a (business_id, epoch, permits)
        JOIN dialer.lanes l ON l.business_id = a.business_id
        JOIN dialer.partitions f ON f.partition = l.partition
        JOIN dialer.businesses b ON b.business_id = a.business_id
    ), running AS MATERIALIZED (
        SELECT r.id, r.business_id, r.priority, r.served_at, r.in_progress_count, r.settings, a.room,
               r.id = ANY (held_runs) AS held,
               least(a.room, r.concurrency - r.in_progress_count) AS may_take
        FROM asked a
        JOIN public.outbound_call_runs r ON r.business_id = a.business_id AND r.status = 'running'
        WHERE a.held AND a.mine AND a.listed AND a.room > 0 AND r.started_at IS NOT NULL AND NOT r.cancel_requested
    ), zone AS MATERIALIZED (
        SELECT z.* FROM running r JOIN dialer.run_zones z ON z.run_id = r.id AND z.business_id = r.business_id
        WHERE r.held AND r.may_take > 0 AND z.next_position <= z.last_position
        ORDER BY z.run_id, z.zone FOR NO KEY UPDATE OF z SKIP LOCKED
    ), candidate AS MATERIALIZED (
        SELECT r.business_id, r.id AS run_id, c.*,
               row_number() OVER (PARTITION BY r.id ORDER BY c.zone IS NOT NULL, c.due_at, c.position) AS nth
        FROM running r CROSS JOIN LATERAL (
            (SELECT j.id AS job_id, j.phone, NULL::text AS zone, t.due_at, j.position
             FROM dialer.retries t JOIN public.outbound_call_jobs j ON j.id = t.job_id
             WHERE t.run_id = r.id AND t.business_id = r.business_id AND t.due_at <= now() AND j.status = 'queued'
             ORDER BY t.due_at, t.job_id LIMIT r.may_take)
            UNION ALL
            (SELECT j.id, j.phone, z.zone, NULL, j.position
             FROM zone z CROSS JOIN LATERAL (
                 SELECT j.id, j.phone, j.position FROM public.outbound_call_jobs j
                 WHERE j.run_id = r.id AND j.business_id = r.business_id AND j.status = 'queued'
                   AND j.position BETWEEN z.next_position AND least(z.last_position, z.next_position + scan - 1)
                 ORDER BY j.position LIMIT r.may_take) j
             WHERE z.run_id = r.id AND z.business_id = r.business_id
             ORDER BY j.position LIMIT r.may_take)
        ) c
        WHERE r.held AND r.may_take > 0
    ), turn AS MATERIALIZED (
        SELECT c.*, row_number() OVER (PARTITION BY c.business_id
                                       ORDER BY r.priority DESC, r.in_progress_count + c.nth, r.served_at NULLS FIRST, c.run_id, c.nth) AS turn
        FROM candidate c JOIN running r ON r.id = c.run_id
        WHERE c.nth <= r.may_take
    ), due AS MATERIALIZED (
        SELECT q.job_id FROM turn t JOIN dialer.retries q ON q.job_id = t.job_id AND q.business_id = t.business_id
        JOIN asked a ON a.business_id = t.business_id
        WHERE t.turn <= least(a.room, a.permits) AND t.zone IS NULL ORDER BY q.job_id FOR UPDATE OF q SKIP LOCKED
    ), free AS MATERIALIZED (
        SELECT j.id FROM turn t JOIN public.outbound_call_jobs j ON j.id = t.job_id AND j.business_id = t.business_id
        JOIN asked a ON a.business_id = t.business_id
        WHERE t.turn <= least(a.room, a.permits) AND j.status = 'queued' ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED
    ), picked AS MATERIALIZED (
        SELECT t.*, a.caller_id, a.account_sid, f.id IS NULL AS locked,
               -- One open attempt to a number at a time, over all runs of the business.
               EXISTS (SELECT FROM dialer.attempts o WHERE o.id = ANY (a.inflight) AND o.phone = t.phone)
               OR row_number() OVER (PARTITION BY t.business_id, t.phone ORDER BY t.turn) > 1 AS on_the_line
        FROM turn t JOIN asked a ON a.business_id = t.business_id LEFT JOIN free f ON f.id = t.job_id
        WHERE t.turn <= least(a.room, a.permits) AND (t.zone IS NOT NULL OR EXISTS (SELECT FROM due d WHERE d.job_id = t.job_id))
    ), intent AS (
        INSERT INTO dialer.attempts (business_id, run_id, job_id, token, nonce, phone, from_number, account_sid, ring_seconds, send_by, next_check_at)
        SELECT p.business_id, p.run_id, p.job_id, p_token, md5(gen_random_uuid()::text || gen_random_uuid()::text)::uuid, p.phone, p.caller_id,
               p.account_sid, p_ring_seconds, now() + make_interval(secs => p_send_seconds), now() + make_interval(secs => p_send_seconds)
        FROM picked p WHERE NOT p.on_the_line AND NOT p.locked ORDER BY p.business_id, p.turn
        RETURNING id, business_id, run_id, job_id, phone, from_number, account_sid, nonce
    ), job AS (
        UPDATE public.outbound_call_jobs j
        SET status = 'dialing', attempts = j.attempts + 1, attempt_id = i.id, started_at = coalesce(j.started_at, dialer.utc()),
            dial_started_at = dialer.utc(), dial_lock_token = p_token::text
        FROM intent i WHERE j.id = i.job_id AND j.business_id = i.business_id
    ), taken_again AS (
        DELETE FROM dialer.retries t USING picked p WHERE t.job_id = p.job_id AND t.business_id = p.business_id AND NOT p.on_the_line AND NOT p.locked
    ), put_off AS (
        INSERT INTO dialer.retries (business_id, run_id, job_id, due_at, reason)
        SELECT p.business_id, p.run_id, p.job_id, now() + put_off_wait, CASE WHEN p.locked THEN 'locked' ELSE 'same_phone' END
        FROM picked p WHERE p.on_the_line OR p.locked
        ON CONFLICT (job_id) DO UPDATE SET due_at = excluded.due_at, reason = excluded.reason
    ), passed AS (
        UPDATE dialer.run_zones z
        SET next_position = CASE WHEN m.last IS NOT NULL THEN m.last + 1 ELSE least(z.last_position, z.next_position + scan - 1) + 1 END
        FROM (SELECT r.business_id, r.id AS run_id, z.zone, z.next_position AS was,
                     (SELECT max(p.position) FROM picked p WHERE p.run_id = r.id AND p.zone = z.zone) AS last
              FROM running r JOIN zone z ON z.run_id = r.id AND z.business_id = r.business_id) m
        WHERE z.run_id = m.run_id AND z.zone = m.zone AND z.business_id = m.business_id
          AND (m.last IS NOT NULL OR NOT EXISTS (SELECT FROM candidate c WHERE c.run_id = m.run_id AND c.zone = m.zone)
               AND (SELECT count(*) FROM candidate c WHERE c.run_id = m.run_id AND c.zone IS NOT NULL)
                   < (SELECT r.may_take FROM running r WHERE r.id = m.run_id))
        RETURNING z.run_id, z.next_position - m.was AS steps, m.last IS NULL AS barren
    ), run AS (
        UPDATE public.outbound_call_runs r
        SET queued_count = r.queued_count - m.taken, in_progress_count = r.in_progress_count + m.taken,
            cursor_position = r.cursor_position + m.steps, updated_at = dialer.utc(),
            -- A lead that was put off was a turn as well. Of two runs served in one claim, the one that got the last turn was served later.
            served_at = CASE WHEN m.last_turn > 0 THEN dialer.utc() + m.last_turn * interval '1 microsecond' ELSE r.served_at END
        FROM (SELECT x.id, coalesce((SELECT count(*) FROM intent i WHERE i.run_id = x.id), 0)::integer AS taken,
                     coalesce((SELECT sum(p.steps) FROM passed p WHERE p.run_id = x.id), 0)::integer AS steps,
                     coalesce((SELECT max(p.turn) FROM picked p WHERE p.run_id = x.id), 0) AS last_turn FROM running x) m
        WHERE r.id = m.id AND (m.last_turn > 0 OR m.steps > 0)
    ), lane AS (
        UPDATE dialer.lanes l SET inflight = l.inflight || m.ids
        FROM (SELECT i.business_id, array_agg(i.id ORDER BY i.id) AS ids FROM intent i GROUP BY i.business_id) m
        WHERE l.business_id = m.business_id
    )
    SELECT i.business_id, 'taken'::text, NULL::timestamptz, i.run_id, i.job_id, i.id, i.phone, i.from_number, i.account_sid, i.nonce,
           r.settings ->> 'machine_detection', coalesce((r.settings ->> 'record')::boolean, FALSE)
    FROM intent i JOIN running r ON r.id = i.run_id
    UNION ALL
    SELECT a.business_id, v.verdict, CASE v.verdict WHEN 'put_off' THEN w.due_at END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM asked a
    CROSS JOIN LATERAL (
        SELECT (SELECT count(*) FROM intent i WHERE i.business_id = a.business_id) AS taken,
               (SELECT count(*) FROM turn t WHERE t.business_id = a.business_id) AS offered,
               EXISTS (SELECT FROM picked p WHERE p.business_id = a.business_id AND (p.on_the_line OR p.locked))
               OR EXISTS (SELECT FROM passed p JOIN running r ON r.id = p.run_id WHERE r.business_id = a.business_id AND p.barren) AS moved,
               EXISTS (SELECT FROM running r WHERE r.business_id = a.business_id AND NOT r.held)
               OR EXISTS (SELECT FROM running r JOIN dialer.run_zones z ON z.run_id = r.id AND z.business_id = r.business_id
                          WHERE r.business_id = a.business_id AND r.held AND r.may_take > 0 AND z.next_position <= z.last_position
                            AND NOT EXISTS (SELECT FROM zone y WHERE y.run_id = z.run_id AND y.zone = z.zone)) AS run_locked,
               EXISTS (SELECT FROM turn t WHERE t.business_id = a.business_id AND t.zone IS NULL AND t.turn <= least(a.room, a.permits)
                       AND NOT EXISTS (SELECT FROM due d WHERE d.job_id = t.job_id)) AS lead_locked,
               (SELECT min(t.due_at) FROM running r JOIN dialer.retries t ON t.run_id = r.id AND t.business_id = r.business_id
                WHERE r.business_id = a.business_id AND t.due_at > now()) AS due_at
    ) w
    CROSS JOIN LATERAL (
        SELECT CASE WHEN NOT a.mine THEN 'not_owner' WHEN NOT a.listed THEN 'unlisted' WHEN NOT a.held THEN 'busy' WHEN a.room - w.taken <= 0 THEN 'full'
                    WHEN w.lead_locked THEN 'busy' WHEN w.moved THEN 'again' WHEN w.offered > w.taken THEN 'gate' WHEN w.run_locked THEN 'busy'
                    WHEN w.due_at IS NOT NULL THEN 'put_off' ELSE 'empty' END AS verdict
    ) v;
END
$$;
