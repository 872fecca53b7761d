-- Detects the timeline the database is on, and recovers calls it may have lost. PostgreSQL begins a new timeline
-- whenever a standby is promoted or a backup is recovered; a dump that is loaded elsewhere gets another system
-- identifier, and one that is loaded into the same server makes the tables anew.

-- Where a provider hides the first two, only a dump is noticed, and the limit of promise P5 is wider
-- (docs/guarantees.md).
CREATE OR REPLACE FUNCTION dialer.timeline_name() RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    made CONSTANT oid := 'dialer.timelines'::regclass;
BEGIN
    RETURN format('%s %s %s', (SELECT c.system_identifier FROM pg_control_system() c),
                  left(pg_walfile_name(pg_current_wal_lsn()), 8), made);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
    RETURN format('unknown %s', made);
END
$$;

-- Begin a timeline of this name, unless there is one: the calls of each business are compared with the provider's
-- before it takes a lead.
CREATE OR REPLACE FUNCTION dialer.begin_timeline_v1(p_name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- More events and attempts than a timeline can have lost: their ids were published, and must not be assigned again.
    forgotten CONSTANT bigint := 1000000000;
    noticing CONSTANT bigint := 7417003;
    is_older boolean;
BEGIN
    -- One session records the timeline; the others wait here. Not a table lock: that would wait for any session with a
    -- row lock.
    PERFORM pg_advisory_xact_lock(noticing);
    is_older := EXISTS (SELECT FROM dialer.timelines) OR EXISTS (SELECT FROM dialer.attempts);
    INSERT INTO dialer.timelines (name, calls_from)
    VALUES (p_name, coalesce((SELECT a.created_at FROM dialer.attempts a ORDER BY a.id DESC LIMIT 1),
                             now() - interval '1 day') - interval '1 minute')
    ON CONFLICT (name) DO NOTHING;
    IF FOUND AND is_older THEN
        PERFORM setval(s.name, nextval(s.name) + forgotten)
        FROM (VALUES (pg_get_serial_sequence('dialer.attempts', 'id')),
              (pg_get_serial_sequence('dialer.outbox', 'id'))) AS s (name);
    END IF;
END
$$;

-- Each connection calls this first. A promotion cannot go unnoticed: a standby accepts no connection of ours. Behind a
-- pooler our connections outlive the server's; there each flush notices that the boot is another, and calls this.
-- Returns the boot.
CREATE OR REPLACE FUNCTION dialer.notice_timeline_v1() RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    here text;
    boot uuid;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'this server is a standby' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    here := dialer.timeline_name();
    IF NOT EXISTS (SELECT FROM dialer.timelines h WHERE h.name = here) THEN
        PERFORM dialer.begin_timeline_v1(here);
    END IF;
    SELECT b.id INTO boot FROM dialer.boot b;
    IF NOT FOUND THEN
        INSERT INTO dialer.boot DEFAULT VALUES ON CONFLICT DO NOTHING;
        SELECT b.id INTO boot FROM dialer.boot b;
    END IF;
    RETURN boot;
END
$$;

-- Say that the database comes from a copy although nothing in it shows that, such as a snapshot of its disk.
CREATE OR REPLACE FUNCTION dialer.note_restore_v1(p_actor text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dialer.notice_timeline_v1();
    PERFORM dialer.begin_timeline_v1(format('%s %s', dialer.timeline_name(), gen_random_uuid()));
    INSERT INTO dialer.audit_log (business_id, actor, action) VALUES (0, p_actor, 'restored');
END
$$;

-- Which of these unknown calls, {sid, phone, created_at, caller_id} each, belongs to which of these queued jobs.
CREATE OR REPLACE FUNCTION dialer.match_calls_v1(p_business_id integer, p_unknown jsonb, p_waiting bigint[])
RETURNS SETOF dialer.orphaned_call
LANGUAGE sql STABLE AS $$
    WITH called AS (
        SELECT c.*, row_number() OVER (PARTITION BY c.phone ORDER BY c.created_at DESC, c.sid) AS nth
        FROM jsonb_to_recordset(p_unknown) AS c (sid text, phone text, created_at timestamptz, caller_id text)
        -- It may be the call of an open attempt that is not bound yet: the reconciler will find out.
        WHERE NOT EXISTS (SELECT FROM dialer.lanes l
                          JOIN dialer.attempts o ON o.id = ANY (l.inflight) AND o.business_id = l.business_id
                          WHERE l.business_id = p_business_id AND o.phone = c.phone AND o.sid IS NULL)
    ), lead AS (
        -- The newest call to a number goes to the lead in the run that was started first, and so on.
        SELECT j.id AS job_id, j.run_id, j.phone, r.status = 'pending' AS never_started,
               row_number() OVER (
                   PARTITION BY j.phone ORDER BY r.status = 'pending', r.started_at, r.id, j.position) AS nth
        FROM public.outbound_call_jobs j
        JOIN public.outbound_call_runs r ON r.id = j.run_id AND r.business_id = j.business_id
        WHERE j.id = ANY (p_waiting) AND j.business_id = p_business_id AND j.status = 'queued'
          AND NOT r.cancel_requested
          AND (r.status IN ('running', 'paused') AND r.started_at IS NOT NULL OR r.status = 'pending')
    )
    SELECT c.sid, c.phone, c.created_at, l.job_id, l.run_id, l.never_started,
           coalesce(c.caller_id, b.caller_ids -> 0 ->> 'number')
    FROM called c JOIN lead l ON l.phone = c.phone AND l.nth = c.nth
    JOIN dialer.businesses b ON b.business_id = p_business_id;
$$;

-- Adopt one call: its lead is in progress, and its run was started. Returns the id of the new attempt; the caller adds
-- it to the lane.
CREATE OR REPLACE FUNCTION dialer.adopt_call_v1(
    p_business_id integer, p_orphan dialer.orphaned_call, p_account_sid text, p_ring_seconds integer,
    p_max_minutes integer)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    lost_start CONSTANT text :=
        'Calls of this run were found at the provider, and the database does not know that it was started.';
    lost_cause CONSTANT jsonb := '{"kind": "lost_start"}';
    minute_price CONSTANT numeric := (
        SELECT dialer.minute_price(r.settings -> 'budget' ->> 'currency', p_orphan.phone)
        FROM public.outbound_call_runs r
        WHERE r.id = p_orphan.run_id AND r.business_id = p_business_id AND r.settings -> 'budget' ? 'amount');
    attempt bigint;
BEGIN
    INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, account_sid,
                                 ring_seconds, created_at, send_by, next_check_at, sid, placed_at, reason,
                                 minute_price, max_cost)
    VALUES (p_business_id, p_orphan.run_id, p_orphan.job_id, 'placed', gen_random_uuid(),
            md5(gen_random_uuid()::text || gen_random_uuid()::text)::uuid, p_orphan.phone, p_orphan.caller_id,
            p_account_sid, p_ring_seconds, p_orphan.created_at, p_orphan.created_at, now(), p_orphan.sid, now(),
            'found at the provider: the database had forgotten it', minute_price, minute_price * p_max_minutes)
    RETURNING id INTO attempt;
    INSERT INTO dialer.call_sids (sid, business_id, attempt_id) VALUES (p_orphan.sid, p_business_id, attempt);
    UPDATE public.outbound_call_jobs j
    SET status = 'dialing', attempts = j.attempts + 1, attempt_id = attempt,
        started_at = coalesce(j.started_at, dialer.utc()), dial_started_at = dialer.utc(),
        call_sid = p_orphan.sid, twilio_call_sid = p_orphan.sid
    WHERE j.id = p_orphan.job_id AND j.business_id = p_business_id;
    DELETE FROM dialer.retries t WHERE t.job_id = p_orphan.job_id AND t.business_id = p_business_id;
    IF p_orphan.never_started THEN
        UPDATE public.outbound_call_runs r SET status = 'paused', started_at = dialer.utc(), last_error = lost_start,
            last_error_cause = lost_cause
        WHERE r.id = p_orphan.run_id AND r.business_id = p_business_id AND r.status = 'pending';
        IF FOUND THEN
            PERFORM dialer.reset_windows_v1(p_business_id, p_orphan.run_id);
            INSERT INTO dialer.outbox (business_id, run_id, type, data)
            VALUES (p_business_id, p_orphan.run_id, 'run.paused',
                    jsonb_build_object('last_error', lost_start, 'last_error_cause', lost_cause));
        END IF;
    END IF;
    UPDATE public.outbound_call_runs r
    SET queued_count = r.queued_count - 1, in_progress_count = r.in_progress_count + 1,
        calls_count = r.calls_count + 1, amount_spent = r.amount_spent + coalesce(minute_price * p_max_minutes, 0),
        updated_at = dialer.utc()
    WHERE r.id = p_orphan.run_id AND r.business_id = p_business_id;
    RETURN attempt;
END
$$;

-- Adopt calls of a business that the database has lost: `p_calls` is the provider's list for the account
-- `p_account_sid`, {sid, phone, created_at, caller_id} each. An unknown call to the number of a queued lead
-- belongs to that lead:
-- the lead is in progress, with a slot, and its call will be checked until it ends. A run that appears never to have
-- been started was started; it is paused for a person. Afterwards leads of the business may be claimed again. Returns
-- the number of adopted calls; NULL, with nothing changed, when this worker does not own the business or the timeline
-- that began at `p_since` is no longer the present one.
CREATE OR REPLACE FUNCTION dialer.adopt_calls_v1(
    p_incarnation uuid, p_epoch bigint, p_business_id integer, p_timeline integer, p_since timestamptz, p_calls jsonb,
    p_ring_seconds integer, p_max_minutes integer, p_account_sid text)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    -- Searched before anything is locked: it reads a long list of leads.
    unknown CONSTANT jsonb := (SELECT jsonb_agg(c) FROM jsonb_array_elements(p_calls) c
                               WHERE NOT EXISTS (SELECT FROM dialer.call_sids k WHERE k.sid = c ->> 'sid'));
    waiting CONSTANT bigint[] := ARRAY(
        SELECT j.id FROM public.outbound_call_runs r
        JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
        WHERE unknown IS NOT NULL AND r.business_id = p_business_id AND r.status IN ('running', 'paused', 'pending')
          AND j.status = 'queued' AND j.phone IN (SELECT c ->> 'phone' FROM jsonb_array_elements(unknown) c));
    adopted bigint[] := '{}';
    orphan dialer.orphaned_call;
BEGIN
    PERFORM FROM dialer.lanes l JOIN dialer.partitions f ON f.partition = l.partition
    WHERE l.business_id = p_business_id AND f.owner = p_incarnation AND f.epoch = p_epoch
      AND EXISTS (SELECT FROM dialer.timelines h WHERE h.id = p_timeline AND h.since = p_since)
      AND p_timeline = (SELECT max(h.id) FROM dialer.timelines h)
    FOR NO KEY UPDATE OF l;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM public.outbound_call_runs r
    WHERE r.business_id = p_business_id
      AND r.id IN (SELECT j.run_id FROM public.outbound_call_jobs j WHERE j.id = ANY (waiting))
    ORDER BY r.id FOR NO KEY UPDATE;
    FOR orphan IN SELECT * FROM dialer.match_calls_v1(p_business_id, unknown, waiting) LOOP
        adopted := adopted || dialer.adopt_call_v1(p_business_id, orphan, p_account_sid, p_ring_seconds,
                                                     p_max_minutes);
    END LOOP;
    -- The results of the calls in the log may be lost too: check each of them now.
    UPDATE dialer.attempts a SET next_check_at = now()
    FROM dialer.lanes l WHERE l.business_id = p_business_id AND a.id = ANY (l.inflight)
        AND a.business_id = l.business_id AND a.state <> 'placing';
    UPDATE dialer.lanes l
    SET timeline = p_timeline, inflight = l.inflight || adopted,
        cap = greatest(l.max_calls, cardinality(l.inflight || adopted))
    WHERE l.business_id = p_business_id;
    RETURN cardinality(adopted);
END
$$;
