-- Which timeline of the database this is, and what it may have forgotten. PostgreSQL begins a new timeline whenever a standby is promoted
-- or a backup is recovered; a dump that is loaded elsewhere meets another system identifier.

-- Where a provider hides both, every timeline looks the same, and the limit of promise P5 is wider (docs/guarantees.md).
CREATE OR REPLACE FUNCTION dialer.timeline_name() RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN format('%s %s', (SELECT c.system_identifier FROM pg_control_system() c), left(pg_walfile_name(pg_current_wal_lsn()), 8));
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
    RETURN 'unknown';
END
$$;

-- Each connection calls this before anything else: a standby is promoted behind nobody's back, for it takes no connection of ours.
CREATE OR REPLACE FUNCTION dialer.notice_timeline_v1() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- More events and attempts than a timeline can have lost: their numbers have been told, and must not be given again.
    forgotten CONSTANT bigint := 1000000000;
    noticing CONSTANT bigint := 7417003;
    here text;
    is_older boolean;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'this server is a standby' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    here := dialer.timeline_name();
    IF EXISTS (SELECT FROM dialer.timelines h WHERE h.name = here) THEN
        RETURN;
    END IF;
    -- Only one notices it; the others wait here until it has. No lock of the table: it would wait for whoever holds one of its rows.
    PERFORM pg_advisory_xact_lock(noticing);
    is_older := EXISTS (SELECT FROM dialer.timelines) OR EXISTS (SELECT FROM dialer.attempts);
    INSERT INTO dialer.timelines (name, calls_from)
    VALUES (here, coalesce((SELECT a.created_at FROM dialer.attempts a ORDER BY a.id DESC LIMIT 1), now() - interval '1 day') - interval '1 minute')
    ON CONFLICT (name) DO NOTHING;
    IF FOUND AND is_older THEN
        PERFORM setval(s.name, nextval(s.name) + forgotten)
        FROM (VALUES (pg_get_serial_sequence('dialer.attempts', 'id')), (pg_get_serial_sequence('dialer.outbox', 'id'))) AS s (name);
    END IF;
END
$$;

-- Let the log know the calls of a business that it has forgotten: `p_calls` is what the provider lists for the account `p_account_sid`,
-- {sid, phone, created_at} each.
-- A call nobody knows, to the number of a lead that waits in a run, is that lead's: it is on the line, with a slot, and its end
-- will be asked for. A run that seems never to have been started has been, and waits for a person. From now on leads of the business are
-- taken again. Returns how many such calls there were; NULL, and nothing has changed, when this worker does not own the business or the
-- timeline, the one that began at `p_since`, is not the present one.
CREATE OR REPLACE FUNCTION dialer.adopt_calls_v1(
    p_incarnation uuid, p_epoch bigint, p_business_id integer, p_timeline integer, p_since timestamptz, p_calls jsonb, p_ring_seconds integer,
    p_account_sid text)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    lost_start CONSTANT text := 'Calls of this run were found at the provider, and the database does not know that it was started.';
    -- Looked for before anything is locked: a long list of leads is read for it.
    unknown CONSTANT jsonb := (SELECT jsonb_agg(c) FROM jsonb_array_elements(p_calls) c
                               WHERE NOT EXISTS (SELECT FROM dialer.call_sids k WHERE k.sid = c ->> 'sid'));
    waiting CONSTANT bigint[] := ARRAY(
        SELECT j.id FROM public.outbound_call_runs r JOIN public.outbound_call_jobs j ON j.run_id = r.id AND j.business_id = r.business_id
        WHERE unknown IS NOT NULL AND r.business_id = p_business_id AND r.status IN ('running', 'paused', 'pending') AND j.status = 'queued'
          AND j.phone IN (SELECT c ->> 'phone' FROM jsonb_array_elements(unknown) c));
    adopted bigint[] := '{}';
    orphan record;
    attempt bigint;
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
    WHERE r.business_id = p_business_id AND r.id IN (SELECT j.run_id FROM public.outbound_call_jobs j WHERE j.id = ANY (waiting))
    ORDER BY r.id FOR NO KEY UPDATE;
    FOR orphan IN
        WITH called AS (
            SELECT c.*, row_number() OVER (PARTITION BY c.phone ORDER BY c.created_at DESC, c.sid) AS nth
            FROM jsonb_to_recordset(unknown) AS c (sid text, phone text, created_at timestamptz)
            -- It may be the call of an attempt that is open and not bound yet: the reconciler finds that out.
            WHERE NOT EXISTS (SELECT FROM dialer.lanes l JOIN dialer.attempts o ON o.id = ANY (l.inflight) AND o.business_id = l.business_id
                              WHERE l.business_id = p_business_id AND o.phone = c.phone AND o.sid IS NULL)
        ), lead AS (
            -- The newest call to a number is that of the lead that waits in the run that was started first, and so on.
            SELECT j.id AS job_id, j.run_id, j.phone, r.status = 'pending' AS never_started,
                   row_number() OVER (PARTITION BY j.phone ORDER BY r.status = 'pending', r.started_at, r.id, j.position) AS nth
            FROM public.outbound_call_jobs j
            JOIN public.outbound_call_runs r ON r.id = j.run_id AND r.business_id = j.business_id
            WHERE j.id = ANY (waiting) AND j.business_id = p_business_id AND j.status = 'queued' AND NOT r.cancel_requested
              AND (r.status IN ('running', 'paused') AND r.started_at IS NOT NULL OR r.status = 'pending')
        )
        SELECT c.sid, c.phone, c.created_at, l.job_id, l.run_id, l.never_started, b.caller_id
        FROM called c JOIN lead l ON l.phone = c.phone AND l.nth = c.nth JOIN dialer.businesses b ON b.business_id = p_business_id
    LOOP
        INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, account_sid, ring_seconds,
                                     created_at, send_by, next_check_at, sid, placed_at, reason)
        VALUES (p_business_id, orphan.run_id, orphan.job_id, 'placed', gen_random_uuid(),
                md5(gen_random_uuid()::text || gen_random_uuid()::text)::uuid, orphan.phone, orphan.caller_id, p_account_sid, p_ring_seconds,
                orphan.created_at, orphan.created_at, now(), orphan.sid, now(), 'found at the provider: the database had forgotten it')
        RETURNING id INTO attempt;
        INSERT INTO dialer.call_sids (sid, business_id, attempt_id) VALUES (orphan.sid, p_business_id, attempt);
        UPDATE public.outbound_call_jobs j
        SET status = 'dialing', attempts = j.attempts + 1, attempt_id = attempt, started_at = coalesce(j.started_at, dialer.utc()),
            dial_started_at = dialer.utc(), call_sid = orphan.sid, twilio_call_sid = orphan.sid
        WHERE j.id = orphan.job_id AND j.business_id = p_business_id;
        DELETE FROM dialer.retries t WHERE t.job_id = orphan.job_id AND t.business_id = p_business_id;
        IF orphan.never_started THEN
            UPDATE public.outbound_call_runs r SET status = 'paused', started_at = dialer.utc(), last_error = lost_start
            WHERE r.id = orphan.run_id AND r.business_id = p_business_id AND r.status = 'pending';
            IF FOUND THEN
                INSERT INTO dialer.outbox (business_id, run_id, type, data)
                VALUES (p_business_id, orphan.run_id, 'run.paused', jsonb_build_object('last_error', lost_start));
            END IF;
        END IF;
        UPDATE public.outbound_call_runs r
        SET queued_count = r.queued_count - 1, in_progress_count = r.in_progress_count + 1, updated_at = dialer.utc()
        WHERE r.id = orphan.run_id AND r.business_id = p_business_id;
        adopted := adopted || attempt;
    END LOOP;
    -- What became of the calls that are in the log may be forgotten too: each is to be asked for now.
    UPDATE dialer.attempts a SET next_check_at = now()
    FROM dialer.lanes l WHERE l.business_id = p_business_id AND a.id = ANY (l.inflight) AND a.business_id = l.business_id AND a.state <> 'placing';
    UPDATE dialer.lanes l
    SET timeline = p_timeline, inflight = l.inflight || adopted, cap = greatest(l.max_calls, cardinality(l.inflight || adopted))
    WHERE l.business_id = p_business_id;
    RETURN cardinality(adopted);
END
$$;
