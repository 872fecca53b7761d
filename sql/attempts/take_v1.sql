-- What the claim does with the leads whose turn has come; see claim_v1.sql for the steps.

-- These leads, each with its fate: `take`; `put_off`, with the reason, when a rule lets it wait, its number is in use
-- or its job row is locked; `end`, when a rule will never let it be called; `left` (unchanged), when its retry row is
-- locked.
CREATE OR REPLACE FUNCTION dialer.claim_pick_v1(offers dialer.claim_offer[]) RETURNS dialer.claim_pick[]
LANGUAGE plpgsql AS $$
DECLARE
    -- The jobs whose rows we could lock.
    free bigint[];
BEGIN
    free := ARRAY(SELECT j.id
                  FROM unnest(offers) o
                  JOIN public.outbound_call_jobs j ON j.id = o.job_id AND j.business_id = o.business_id
                  WHERE o.is_next AND j.status = 'queued' ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED);
    RETURN ARRAY(
        WITH due AS MATERIALIZED (
            -- The retries whose rows we could lock.
            SELECT q.job_id
            FROM unnest(offers) o JOIN dialer.retries q ON q.job_id = o.job_id AND q.business_id = o.business_id
            WHERE o.is_next AND o.is_retry ORDER BY q.job_id FOR UPDATE OF q SKIP LOCKED
        ), held AS (
            -- Whether its retry row or its job is locked. OFFSET 0: so that this is found out once.
            SELECT o.*, o.is_retry AND o.job_id NOT IN (SELECT d.job_id FROM due d) AS is_left,
                   o.job_id NOT IN (SELECT unnest(free)) AS locked
            FROM unnest(offers) o WHERE o.is_next OFFSET 0
        ), allowed AS (
            -- Whether its number is in use: one open attempt to a number at a time, across all runs.
            SELECT h.*,
                   h.in_use OR row_number() OVER (PARTITION BY h.business_id, h.phone COLLATE "C", h.is_left
                                                  ORDER BY h.turn) > 1 AS number_in_use
            FROM held h
        )
        SELECT ROW(a.business_id, a.run_id, a.run_no, a.zone_no, a.job_id, a.phone, a.position, a.is_retry, a.turn,
                   CASE WHEN a.is_left THEN 'left'
                        WHEN a.locked THEN 'put_off' WHEN a.ends_as IS NOT NULL THEN 'end'
                        WHEN a.rule IS NOT NULL OR a.number_in_use THEN 'put_off' ELSE 'take' END,
                   CASE WHEN NOT a.locked THEN a.rule END, CASE WHEN NOT a.locked THEN a.until END, a.ends_as,
                   CASE WHEN a.locked THEN 'locked' WHEN a.rule IS NOT NULL THEN coalesce(a.reason, a.rule)
                        WHEN a.number_in_use THEN 'same_phone' END, a.minute_price, a.max_cost)::dialer.claim_pick
        FROM allowed a);
END
$$;

-- Creates the attempts, with ids in the order of their turns, and returns them as the claim does.
CREATE OR REPLACE FUNCTION dialer.claim_take_v1(
    room dialer.claim_room[], runs dialer.claim_run[], zones dialer.claim_zone[], picks dialer.claim_pick[],
    p_token uuid, p_send_by timestamptz, p_ring_seconds integer)
RETURNS TABLE (business_id integer, verdict text, put_off_until timestamptz, run_id integer, job_id bigint,
               attempt_id bigint, phone text, from_number text, account_sid text, nonce uuid, machine_detection text,
               record boolean, machine_detection_async boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    -- Its nonces are hashes of this and the attempt's id: new for each claim, and stored nowhere. Random bits for each
    -- nonce would take as long as writing its rows: PostgreSQL without OpenSSL opens a file for them.
    secret CONSTANT text := gen_random_uuid() || gen_random_uuid()::text;
    -- Its beginning: an old application has an index of it, and nobody compares it.
    token_start CONSTANT text := left(p_token::text, 6);
    started CONSTANT timestamp := dialer.utc();
BEGIN
    RETURN QUERY
    WITH turn AS (
        SELECT p.*, row_number() OVER (PARTITION BY p.run_id ORDER BY p.turn) AS nth
        FROM unnest(picks) p WHERE p.fate = 'take' ORDER BY p.business_id, p.turn
    ), call AS MATERIALIZED (
        SELECT n.attempt_id, t.business_id, t.run_id, t.job_id, t.phone, t.minute_price, t.max_cost, r.account_sid,
               r.settings, left(encode(sha256(convert_to(secret || n.attempt_id, 'UTF8')), 'hex'), 32)::uuid AS nonce,
               coalesce(r.caller_id, dialer.caller_id_for((room[r.room_no]).caller_ids, r.settings, t.phone,
                                                          (zones[t.zone_no]).zone, r.calls_count + t.nth - 1))
                   AS from_number
        FROM turn t
        CROSS JOIN LATERAL (SELECT (runs[t.run_no]).*) r
        CROSS JOIN LATERAL (SELECT nextval('dialer.attempts_id_seq') AS attempt_id) n
    ), created AS (
        INSERT INTO dialer.attempts (id, business_id, run_id, job_id, token, nonce, phone, from_number, account_sid,
                                     ring_seconds, send_by, next_check_at, minute_price, max_cost)
        OVERRIDING SYSTEM VALUE
        SELECT c.attempt_id, c.business_id, c.run_id, c.job_id, p_token, c.nonce, c.phone, c.from_number, c.account_sid,
               p_ring_seconds, p_send_by, p_send_by, c.minute_price, c.max_cost
        FROM call c
    ), dialled AS (
        UPDATE public.outbound_call_jobs j
        SET status = 'dialing', attempts = j.attempts + 1, attempt_id = c.attempt_id,
            dial_lock_token = token_start,
            started_at = coalesce(j.started_at, started), dial_started_at = started
        FROM call c WHERE j.id = c.job_id AND j.business_id = c.business_id
    ), occupied AS (
        UPDATE dialer.lanes l SET inflight = l.inflight || m.ids
        FROM (SELECT c.business_id, array_agg(c.attempt_id ORDER BY c.attempt_id) AS ids
              FROM call c GROUP BY c.business_id) m
        WHERE l.business_id = m.business_id
    )
    SELECT c.business_id, 'taken', NULL::timestamptz, c.run_id, c.job_id, c.attempt_id, c.phone, c.from_number,
           c.account_sid, c.nonce, c.settings ->> 'machine_detection',
           coalesce((c.settings ->> 'record')::boolean, FALSE),
           coalesce((c.settings ->> 'machine_detection_async')::boolean, FALSE)
    FROM call c;
END
$$;

-- Puts off or ends the leads that are not called, and stores each refusal by a rule once. A retry that is called or
-- ended is over.
CREATE OR REPLACE FUNCTION dialer.claim_refuse_v1(zones dialer.claim_zone[], picks dialer.claim_pick[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- Retry a lead after this when its number is in use by another lead of the business, or its job row is locked.
    put_off_wait CONSTANT interval := '5 seconds';
BEGIN
    DELETE FROM dialer.retries q USING unnest(picks) p
    WHERE p.is_retry AND p.fate IN ('take', 'end') AND q.job_id = p.job_id AND q.business_id = p.business_id;
    INSERT INTO dialer.retries (business_id, run_id, job_id, zone, due_at, reason)
    SELECT p.business_id, p.run_id, p.job_id, (zones[p.zone_no]).zone, coalesce(p.until, now() + put_off_wait), p.reason
    FROM unnest(picks) p WHERE p.fate = 'put_off'
    ON CONFLICT (job_id) DO UPDATE SET due_at = excluded.due_at, reason = excluded.reason;
    IF cardinality(picks) > 0
       AND NOT EXISTS (SELECT FROM unnest(picks) p WHERE p.fate IN ('put_off', 'end') AND p.rule IS NOT NULL) THEN
        RETURN;
    END IF;
    WITH locked AS (
        -- A row that another session has locked stays as it is: the claim waits for none.
        SELECT f.job_id, f.rule FROM unnest(picks) p
        JOIN dialer.refusals f ON f.job_id = p.job_id AND f.rule = p.rule AND f.business_id = p.business_id
        WHERE p.fate IN ('put_off', 'end') ORDER BY f.job_id, f.rule FOR UPDATE OF f SKIP LOCKED
    )
    INSERT INTO dialer.refusals AS f (business_id, run_id, job_id, rule, verdict, until)
    SELECT p.business_id, p.run_id, p.job_id, p.rule, CASE p.fate WHEN 'end' THEN 'skip' ELSE 'wait' END,
           CASE p.fate WHEN 'put_off' THEN p.until END
    FROM unnest(picks) p
    WHERE p.fate IN ('put_off', 'end') AND p.rule IS NOT NULL
      AND (EXISTS (SELECT FROM locked l WHERE l.job_id = p.job_id AND l.rule = p.rule)
           OR NOT EXISTS (SELECT FROM dialer.refusals o WHERE o.job_id = p.job_id AND o.rule = p.rule))
    ON CONFLICT (job_id, rule) DO UPDATE SET verdict = excluded.verdict, at = excluded.at, until = excluded.until;
    WITH ended AS (
        UPDATE public.outbound_call_jobs j SET status = p.ends_as, reason = p.reason, completed_at = dialer.utc()
        FROM unnest(picks) p WHERE p.fate = 'end' AND j.id = p.job_id AND j.business_id = p.business_id
        RETURNING j.*
    )
    INSERT INTO dialer.outbox (business_id, run_id, job_id, type, data)
    SELECT e.business_id, e.run_id, e.id, 'job.changed',
           jsonb_build_object('status', e.status, 'lead_id', coalesce(to_jsonb(e.external_id), to_jsonb(e.lead_id)),
                              'twilio_call_sid', e.twilio_call_sid, 'outcome', e.outcome, 'reason', e.reason)
    FROM ended e ORDER BY e.run_id, e.id;
    PERFORM dialer.end_if_done_v1(e.business_id, e.run_id)
    FROM (SELECT DISTINCT p.business_id, p.run_id FROM unnest(picks) p WHERE p.fate = 'end' ORDER BY p.run_id) e;
END
$$;
