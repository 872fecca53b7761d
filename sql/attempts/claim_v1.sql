-- Claim the next leads of many businesses, together with their slots. Attempts are created here and nowhere else
-- (except those that timeline_v1.sql adopts). The steps, each a function below, in the order they run:
--   room      how many slots each business has left, and whether this worker may claim for it
--   eligible  which runs may take leads, and how many each
--   zones     the time zones of these runs that are open now, locked
--   offer     the next leads of each run, from these zones
--   rules     which rule of calling keeps an offered lead from being called (check_v1.sql), and whose turn has come; a
--             lead that the run's budget in money does not cover now is left unchanged
--   pick      which of these leads are taken, which are put off, and which end without a call (take_v1.sql)
--   tally     how many of each, and how far the cursors move (pass_v1.sql)
--   take      creates the attempts with their caller ids and occupies the slots
--   pass      moves the cursors and counters of the runs
--   refuse    puts off or ends the leads that are not called (take_v1.sql)
--   pause     pauses a run whose budget is used up (pass_v1.sql)
--   verdict   one for each business:
--     stopped, register_too_old  no lead of this business may be called
--     busy       its lane, a run, a time zone or a due lead is locked: claim again in a few milliseconds
--     not_owner  the fence names another worker or epoch
--     unlisted   the database may have lost calls of this business: compare with the provider's list first
--                (timeline_v1.sql)
--     full       no free slot
--     gate       more leads could be taken, but the permits are used up
--     again      leads were put off or ended, or a stretch of cancelled leads was skipped: claim again at once
--     put_off    nothing is due before put_off_until
--     empty      no running run has a lead to take
--   and one row with verdict 'taken' for each attempt.
--
-- Lanes are locked first, then runs, each in id order, skipping rows that another session has locked. The steps run as
-- later statements, so their snapshots include everything committed before the locks were taken. A locked row delays no
-- other business: a lead whose job row is locked is put off; a lead whose retry row is locked and a time zone whose
-- row is locked are left unchanged for a later claim.
--
-- What takes time is less the tables than everything around them: to start a statement, and to form and read a row of
-- an array. So a step that has nothing to do is not run, and a lead refers to its run and zone by their places in the
-- arrays instead of a join.
CREATE OR REPLACE FUNCTION dialer.claim_v1(
    p_incarnation uuid, p_token uuid, p_businesses integer[], p_epochs bigint[], p_permits integer[],
    p_send_seconds double precision, p_ring_seconds integer, p_max_minutes integer, p_default_account text)
RETURNS TABLE (business_id integer, verdict text, put_off_until timestamptz, run_id integer, job_id bigint,
               attempt_id bigint, phone text, from_number text, account_sid text, nonce uuid, machine_detection text,
               record boolean, machine_detection_async boolean)
LANGUAGE plpgsql
-- Planned once per session, using the indexes. Planning at each call would take as long as the work itself, while the
-- rows are locked, and a plan made from the statistics of a new or fast-growing table would read the whole table. A
-- cancel waits for these rows. The steps inherit these settings.
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
    held_lanes integer[];
    held_runs integer[];
    room dialer.claim_room[];
    runs dialer.claim_run[];
    zones dialer.claim_zone[];
    offers dialer.claim_offer[];
    picks dialer.claim_pick[];
    tallies dialer.claim_tally[];
    -- The businesses with a budget in money; whether a run has a budget at all.
    priced integer[];
    has_budgets boolean;
    -- A claim of no business is made to plan every step before a row is locked (sql/pool.py).
    plans CONSTANT boolean := cardinality(p_businesses) = 0;
    -- A worker sends the calls of this claim until then.
    send_by CONSTANT timestamptz := now() + make_interval(secs => p_send_seconds);
BEGIN
    -- Commit asynchronously: locks are released before the flush; the caller flushes (sql/pool.py, `flush`).
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    held_lanes := ARRAY(SELECT l.business_id FROM dialer.lanes l WHERE l.business_id = ANY (p_businesses)
                        ORDER BY l.business_id FOR NO KEY UPDATE SKIP LOCKED);
    held_runs := ARRAY(SELECT r.id FROM public.outbound_call_runs r
                       WHERE r.business_id = ANY (held_lanes) AND r.status = 'running'
                       ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED);
    room := dialer.claim_room_v1(p_incarnation, p_businesses, p_epochs, p_permits, p_default_account, held_lanes);
    runs := dialer.claim_eligible_v1(room, held_runs);
    zones := dialer.claim_zones_v1(runs, send_by);
    SELECT coalesce(array_agg(r.business_id) FILTER (WHERE r.amount_left IS NOT NULL), '{}'),
           coalesce(bool_or(r.amount_left IS NOT NULL OR r.budget_left IS NOT NULL), FALSE)
    INTO priced, has_budgets FROM unnest(runs) r;
    IF cardinality(zones) > 0 OR plans THEN
        offers := dialer.claim_rules_v1(room, runs, zones, dialer.claim_offer_v1(runs, zones), priced,
                                        p_max_minutes);
        picks := dialer.claim_pick_v1(offers);
        tallies := dialer.claim_tally_v1(runs, zones, offers, picks);
        RETURN QUERY SELECT * FROM dialer.claim_take_v1(room, runs, zones, picks, p_token, send_by, p_ring_seconds);
        PERFORM dialer.claim_pass_v1(tallies);
    END IF;
    IF plans OR EXISTS (SELECT FROM unnest(tallies) t
                        WHERE t.retries + t.put_off + t.skipped + t.completed + t.failed > 0) THEN
        PERFORM dialer.claim_refuse_v1(zones, picks);
    END IF;
    IF has_budgets OR plans THEN
        PERFORM dialer.claim_pause_v1(runs, offers, tallies);
    END IF;
    RETURN QUERY
    SELECT v.business_id, v.verdict, v.put_off_until, NULL::integer, NULL::bigint, NULL::bigint, NULL::text, NULL::text,
           NULL::text, NULL::uuid, NULL::text, NULL::boolean, NULL::boolean
    FROM dialer.claim_verdict_v1(room, runs, zones, offers, tallies, send_by) v;
END
$$;

CREATE OR REPLACE FUNCTION dialer.claim_room_v1(
    p_incarnation uuid, p_businesses integer[], p_epochs bigint[], p_permits integer[], p_default_account text,
    held_lanes integer[])
RETURNS dialer.claim_room[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(a.business_id, l.max_calls - cardinality(l.inflight),
                   least(a.permits, l.max_calls - cardinality(l.inflight)), l.inflight, b.caller_ids,
                   coalesce(b.account_sid, p_default_account), a.business_id = ANY (held_lanes),
                   coalesce(l.timeline = (SELECT max(h.id) FROM dialer.timelines h), FALSE),
                   -- The owner of a released partition is NULL, which must not match any worker.
                   coalesce(f.owner = p_incarnation AND f.epoch = a.epoch, FALSE),
                   CASE WHEN b.stopped_at IS NOT NULL
                             OR EXISTS (SELECT FROM dialer.installation i WHERE i.stopped_at IS NOT NULL) THEN 'stopped'
                        WHEN b.required_registers <> '[]'
                             AND dialer.lacks_register(b.business_id, b.required_registers) THEN 'register_too_old' END,
                   b.allowed_countries,
                   0 || ARRAY(SELECT g.register_id FROM dialer.registers g
                              WHERE g.business_id = b.business_id AND g.current),
                   b.min_gap_hours, b.max_per_day,
                   -- The index of ids is the only one that fits: a plan from the time of an empty table would read all
                   -- attempts of the business.
                   (SELECT min((SELECT CASE WHEN t.business_id = l.business_id THEN t.created_at END
                                FROM dialer.attempts t WHERE t.id = i))
                    FROM unnest(l.inflight) i))::dialer.claim_room
        FROM unnest(p_businesses, p_epochs, p_permits) AS a (business_id, epoch, permits)
        JOIN dialer.lanes l ON l.business_id = a.business_id
        JOIN dialer.partitions f ON f.partition = l.partition
        JOIN dialer.businesses b ON b.business_id = a.business_id);
END
$$;

CREATE OR REPLACE FUNCTION dialer.claim_eligible_v1(room dialer.claim_room[], held_runs integer[])
RETURNS dialer.claim_run[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(r.id, r.business_id, a.ordinality, r.priority, r.served_at, r.in_progress_count, r.settings,
                   r.id = ANY (held_runs), least(a.slots, r.concurrency - r.in_progress_count, e.budget_left),
                   make_interval(secs => 3600 * CASE WHEN r.settings ? 'min_gap_hours'
                       THEN coalesce((r.settings ->> 'min_gap_hours')::float8, 0) ELSE a.min_gap_hours END),
                   CASE WHEN r.settings ? 'max_per_day' THEN (r.settings ->> 'max_per_day')::integer
                        ELSE a.max_per_day END,
                   coalesce(r.settings ->> 'recently_called' = 'skip', FALSE), r.ancestors || r.id,
                   e.budget_left, r.calls_count, (r.settings -> 'budget' ->> 'amount')::numeric - r.amount_spent,
                   dialer.only_caller_id(a.caller_ids, r.settings), a.may_take, a.account_sid, a.countries,
                   a.registers)::dialer.claim_run
        FROM unnest(room) WITH ORDINALITY a
        JOIN public.outbound_call_runs r ON r.business_id = a.business_id AND r.status = 'running'
        CROSS JOIN LATERAL (
            SELECT (r.settings -> 'budget' ->> 'calls')::integer - r.calls_count AS budget_left) e
        WHERE a.held AND a.owned AND a.listed AND a.slots > 0 AND a.barred IS NULL
          AND r.started_at IS NOT NULL AND NOT r.cancel_requested);
END
$$;

-- The rows of run_zones that are open and may have leads, locked.
CREATE OR REPLACE FUNCTION dialer.claim_zones_v1(runs dialer.claim_run[], send_by timestamptz)
RETURNS dialer.claim_zone[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(z.business_id, z.run_id, r.ordinality, z.zone, z.first_position, z.last_position, z.next_position,
                   z.opens_at = 'infinity', z.day_from, z.day_to)::dialer.claim_zone
        FROM unnest(runs) WITH ORDINALITY r
        JOIN dialer.run_zones z ON z.run_id = r.id AND z.business_id = r.business_id
        WHERE r.held AND r.may_take > 0
          AND dialer.may_offer(z.opens_at, z.closes_at, z.zone, r.countries, send_by)
          AND (z.next_position <= z.last_position OR dialer.has_due_retry(z.business_id, z.run_id, z.zone))
        ORDER BY z.run_id, z.zone, z.first_position FOR NO KEY UPDATE OF z SKIP LOCKED);
END
$$;

-- The next leads of each run: due retries, then new leads; `nth` is the order within the run, `turn` that across all
-- runs of a business: by priority, then by fewest calls in progress, then the run that was served longest ago.
CREATE OR REPLACE FUNCTION dialer.claim_offer_v1(runs dialer.claim_run[], zones dialer.claim_zone[])
RETURNS dialer.claim_offer[]
LANGUAGE plpgsql AS $$
DECLARE
    scan CONSTANT integer := dialer.claim_scan();
BEGIN
    RETURN ARRAY(
        WITH lead AS (
            SELECT z.business_id, z.run_id, z.run_no, z.ordinality AS zone_no, r.may_take, r.priority,
                   r.in_progress_count, r.served_at, r.permits, j.*
            FROM unnest(zones) WITH ORDINALITY z
            CROSS JOIN LATERAL (SELECT (runs[z.run_no]).*) r
            CROSS JOIN LATERAL (SELECT (zones[z.ordinality - 1]).*) before
            CROSS JOIN LATERAL (
                (SELECT j.id AS job_id, j.phone, j.position, TRUE AS is_retry, t.due_at, j.id AS key
                 FROM dialer.retries t JOIN public.outbound_call_jobs j ON j.id = t.job_id
                 WHERE t.run_id = z.run_id AND t.business_id = z.business_id AND t.zone = z.zone AND t.due_at <= now()
                   AND j.status = 'queued'
                   -- Once for each zone: its rows follow each other.
                   AND (before.run_id = z.run_id AND before.zone = z.zone) IS NOT TRUE
                 ORDER BY t.due_at, t.job_id LIMIT r.may_take)
                UNION ALL
                (SELECT j.id, j.phone, j.position, FALSE, NULL, j.position FROM public.outbound_call_jobs j
                 WHERE j.run_id = z.run_id AND j.business_id = z.business_id AND j.status = 'queued'
                   AND j.position BETWEEN z.next_position AND least(z.last_position, z.next_position + scan - 1)
                 ORDER BY j.position LIMIT r.may_take)) j
        ), counted AS (
            SELECT l.*, row_number() OVER run AS n, count(*) FILTER (WHERE l.is_retry) OVER run AS retries
            FROM lead l
            WINDOW run AS (PARTITION BY l.run_id ORDER BY NOT l.is_retry, l.due_at, l.key ROWS UNBOUNDED PRECEDING)
        ), numbered AS (
            -- As many of each kind as the run may take.
            SELECT c.*, c.n - greatest(c.retries - c.may_take, 0) AS nth
            FROM counted c WHERE c.n - CASE WHEN c.is_retry THEN 0 ELSE c.retries END <= c.may_take
        ), turns AS (
            SELECT n.*, row_number() OVER (
                       PARTITION BY n.business_id, n.nth <= n.may_take
                       ORDER BY n.priority DESC, n.in_progress_count + n.nth, n.served_at NULLS FIRST, n.run_id,
                                n.nth) AS place
            FROM numbered n
        )
        SELECT ROW(t.business_id, t.run_id, t.run_no, t.zone_no, t.job_id, t.phone, t.position, t.is_retry, t.nth,
                   CASE WHEN t.nth <= t.may_take THEN t.place END, t.nth <= t.may_take AND t.place <= t.permits,
                   NULL, NULL, NULL, NULL, NULL, NULL, FALSE)::dialer.claim_offer
        FROM turns t);
END
$$;

-- In one claim a cursor skips at most this many rows that are no longer queued.
CREATE OR REPLACE FUNCTION dialer.claim_scan() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 1000 $$;
