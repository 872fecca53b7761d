-- Claim the next leads of many businesses, together with their slots. Attempts are created here and nowhere else
-- (except those that timeline_v1.sql adopts). The steps, each a function below, in the order they run:
--   room      how many slots each business has left, and whether this worker may claim for it
--   eligible  which runs may take leads, and how many each
--   offer     the next leads of each run, from the zones that are open now
--   check     which rule of calling keeps an offered lead from being called (check_v1.sql)
--   pick      which of these leads are taken, in which order, which are put off, and which end without a call; a lead
--             that the run's budget in money does not cover now is left unchanged
--   take      creates the attempts with their caller ids, occupies the slots, puts off or ends the leads that are not
--             called
--   pass      moves the cursors and counters of the runs, and pauses a run whose budget is used up
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
    taken dialer.attempts[];
    skipped_runs integer[];
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
    zones := ARRAY(SELECT ROW(z, r)::dialer.claim_zone
                   FROM unnest(runs) r
                   JOIN dialer.run_zones z ON z.run_id = r.id AND z.business_id = r.business_id
                   WHERE r.held AND r.may_take > 0
                     AND dialer.may_offer(z.opens_at, z.closes_at, z.zone, r.countries, send_by)
                     AND (z.next_position <= z.last_position
                          OR dialer.has_due_retry(z.business_id, z.run_id, z.zone))
                   ORDER BY z.run_id, z.zone, z.first_position FOR NO KEY UPDATE OF z SKIP LOCKED);
    offers := dialer.claim_rules_v1(room, zones, dialer.claim_offer_v1(zones), p_max_minutes);
    picks := dialer.claim_pick_v1(room, offers);
    taken := dialer.claim_take_v1(room, runs, picks, p_token, send_by, p_ring_seconds);
    skipped_runs := dialer.claim_pass_v1(runs, zones, offers, picks);
    PERFORM dialer.end_if_done_v1(e.business_id, e.run_id)
    FROM (SELECT DISTINCT p.business_id, p.run_id FROM unnest(picks) p WHERE p.fate = 'end'
          ORDER BY p.run_id) e;
    RETURN QUERY
    SELECT t.business_id, 'taken'::text, NULL::timestamptz, t.run_id, t.job_id, t.id, t.phone, t.from_number,
           t.account_sid, t.nonce, r.settings ->> 'machine_detection',
           coalesce((r.settings ->> 'record')::boolean, FALSE),
           coalesce((r.settings ->> 'machine_detection_async')::boolean, FALSE)
    FROM unnest(taken) t JOIN unnest(runs) r ON r.id = t.run_id
    UNION ALL
    SELECT v.business_id, v.verdict, v.put_off_until, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM dialer.claim_verdict_v1(room, runs, zones, picks, skipped_runs, send_by) v;
END
$$;

CREATE OR REPLACE FUNCTION dialer.claim_room_v1(
    p_incarnation uuid, p_businesses integer[], p_epochs bigint[], p_permits integer[], p_default_account text,
    held_lanes integer[])
RETURNS dialer.claim_room[]
LANGUAGE plpgsql AS $$
DECLARE
    present CONSTANT integer := (SELECT max(h.id) FROM dialer.timelines h);
    all_stopped CONSTANT boolean := EXISTS (SELECT FROM dialer.installation i WHERE i.stopped_at IS NOT NULL);
BEGIN
    RETURN ARRAY(
        SELECT ROW(a.business_id, l.max_calls - cardinality(l.inflight),
                   least(a.permits, l.max_calls - cardinality(l.inflight)), l.inflight, b.caller_ids,
                   coalesce(b.account_sid, p_default_account), a.business_id = ANY (held_lanes),
                   coalesce(l.timeline = present, FALSE),
                   -- The owner of a released partition is NULL, which must not match any worker.
                   coalesce(f.owner = p_incarnation AND f.epoch = a.epoch, FALSE),
                   CASE WHEN all_stopped OR b.stopped_at IS NOT NULL THEN 'stopped'
                        WHEN dialer.lacks_register(b.business_id, b.required_registers) THEN 'register_too_old' END,
                   b.allowed_countries,
                   ARRAY(SELECT 0 UNION ALL SELECT g.register_id FROM dialer.registers g
                         WHERE g.business_id = b.business_id AND g.current))::dialer.claim_room
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
        SELECT ROW(r.id, r.business_id, r.priority, r.served_at, r.in_progress_count, r.settings,
                   r.id = ANY (held_runs), least(a.slots, r.concurrency - r.in_progress_count, e.budget_left),
                   make_interval(secs => 3600 * CASE WHEN r.settings ? 'min_gap_hours'
                       THEN coalesce((r.settings ->> 'min_gap_hours')::float8, 0) ELSE b.min_gap_hours END),
                   CASE WHEN r.settings ? 'max_per_day' THEN (r.settings ->> 'max_per_day')::integer
                        ELSE b.max_per_day END,
                   coalesce(r.settings ->> 'recently_called' = 'skip', FALSE), r.ancestors || r.id,
                   e.budget_left, r.calls_count,
                   (r.settings -> 'budget' ->> 'amount')::numeric - r.amount_spent, a.may_take,
                   a.countries)::dialer.claim_run
        FROM unnest(room) a
        JOIN dialer.businesses b ON b.business_id = a.business_id
        JOIN public.outbound_call_runs r ON r.business_id = a.business_id AND r.status = 'running'
        CROSS JOIN LATERAL (
            SELECT (r.settings -> 'budget' ->> 'calls')::integer - r.calls_count AS budget_left) e
        WHERE a.held AND a.owned AND a.listed AND a.slots > 0 AND a.barred IS NULL
          AND r.started_at IS NOT NULL AND NOT r.cancel_requested);
END
$$;

-- The next leads of each run: due retries, then new leads; `nth` is the order within the run, `turn` that across all
-- runs of a business: by priority, then by fewest calls in progress, then the run that was served longest ago.
CREATE OR REPLACE FUNCTION dialer.claim_offer_v1(zones dialer.claim_zone[])
RETURNS dialer.claim_offer[]
LANGUAGE plpgsql AS $$
DECLARE
    scan CONSTANT integer := dialer.claim_scan();
BEGIN
    RETURN ARRAY(
        WITH open AS MATERIALIZED (
            SELECT r.id AS run_id, r.business_id, r.may_take, r.permits, r.priority, r.in_progress_count, r.served_at,
                   r.amount_left, o.zone, o.first_position, o.next_position, o.last_position,
                   row_number() OVER (PARTITION BY r.id, o.zone ORDER BY o.first_position) AS nth_of_zone
            FROM unnest(zones) z
            CROSS JOIN LATERAL (SELECT (z.run).*) r CROSS JOIN LATERAL (SELECT (z.zone).*) o
        ), lead AS (
            SELECT o.*, t.id AS job_id, t.phone, TRUE AS is_retry, t.due_at, t.position, t.id AS key
            FROM open o CROSS JOIN LATERAL (
                SELECT j.id, j.phone, j.position, t.due_at
                FROM dialer.retries t JOIN public.outbound_call_jobs j ON j.id = t.job_id
                WHERE t.run_id = o.run_id AND t.business_id = o.business_id AND t.zone = o.zone AND t.due_at <= now()
                  AND j.status = 'queued'
                ORDER BY t.due_at, t.job_id LIMIT o.may_take) t
            WHERE o.nth_of_zone = 1
            UNION ALL
            SELECT o.*, j.id, j.phone, FALSE, NULL, j.position, j.position
            FROM open o CROSS JOIN LATERAL (
                SELECT j.id, j.phone, j.position FROM public.outbound_call_jobs j
                WHERE j.run_id = o.run_id AND j.business_id = o.business_id AND j.status = 'queued'
                  AND j.position BETWEEN o.next_position AND least(o.last_position, o.next_position + scan - 1)
                ORDER BY j.position LIMIT o.may_take) j
        ), first AS (
            -- As many of each kind as the run may take.
            SELECT l.*, row_number() OVER (PARTITION BY l.run_id, l.is_retry ORDER BY l.due_at, l.key) AS nth_of_kind
            FROM lead l
        ), numbered AS (
            SELECT f.*, row_number() OVER (PARTITION BY f.run_id ORDER BY NOT f.is_retry, f.due_at, f.position) AS nth
            FROM first f WHERE f.nth_of_kind <= f.may_take
        ), turns AS (
            SELECT n.*, row_number() OVER (
                       PARTITION BY n.business_id, n.nth <= n.may_take
                       ORDER BY n.priority DESC, n.in_progress_count + n.nth, n.served_at NULLS FIRST, n.run_id,
                                n.nth) AS place
            FROM numbered n
        )
        SELECT ROW(t.business_id, t.run_id, t.job_id, t.phone, t.zone, t.position, t.is_retry, t.nth,
                   NULL, NULL, NULL, NULL, NULL, NULL, t.first_position,
                   CASE WHEN t.nth <= t.may_take THEN t.place END,
                   t.nth <= t.may_take AND t.place <= t.permits
                       OR bool_or(t.amount_left IS NOT NULL) OVER (PARTITION BY t.business_id),
                   t.amount_left)::dialer.claim_offer
        FROM turns t);
END
$$;

-- Checks the offered leads by the rules of calling: those whose turn is within the permits, and where a rule stops one
-- of them, all others of that business too. Beside a run with a budget in money all are: the budget may not cover its
-- leads, and then their turns are those of others.
CREATE OR REPLACE FUNCTION dialer.claim_rules_v1(
    room dialer.claim_room[], zones dialer.claim_zone[], offers dialer.claim_offer[], p_max_minutes integer)
RETURNS dialer.claim_offer[]
LANGUAGE plpgsql AS $$
DECLARE
    later CONSTANT dialer.claim_offer[] := ARRAY(SELECT o FROM unnest(offers) o WHERE NOT o.is_next);
    checked dialer.claim_offer[];
    stopped integer[];
BEGIN
    IF cardinality(later) = 0 THEN
        RETURN dialer.claim_check_v1(room, zones, offers, p_max_minutes);
    END IF;
    checked := dialer.claim_check_v1(room, zones, ARRAY(SELECT o FROM unnest(offers) o WHERE o.is_next), p_max_minutes);
    stopped := ARRAY(SELECT DISTINCT c.business_id FROM unnest(checked) c WHERE c.rule IS NOT NULL);
    IF cardinality(stopped) = 0 THEN
        RETURN checked || later;
    END IF;
    RETURN checked || ARRAY(SELECT o FROM unnest(later) o WHERE o.business_id <> ALL (stopped))
        || dialer.claim_check_v1(room, zones, ARRAY(SELECT o FROM unnest(later) o WHERE o.business_id = ANY (stopped)),
                                 p_max_minutes);
END
$$;

-- The offered leads in the order of their turns, each with its fate: `take`; `put_off`, with the reason, when a rule
-- lets it wait, its number is in use or its job row is locked; `end`, when a rule will never let it be called; `left`
-- (unchanged), when its retry row is locked; NULL, when it is beyond the slots and permits of the business.
CREATE OR REPLACE FUNCTION dialer.claim_pick_v1(room dialer.claim_room[], offers dialer.claim_offer[])
RETURNS dialer.claim_pick[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        WITH covered AS (
            -- `cost`: the highest cost of the calls of its run up to this one.
            SELECT o.*, sum(o.max_cost) FILTER (WHERE o.rule IS NULL)
                            OVER (PARTITION BY o.run_id ORDER BY o.nth) AS cost
            FROM unnest(offers) o
        ), turn AS MATERIALIZED (
            -- `call` is the number that the call of this lead would have: a lead that a rule stops uses no number.
            SELECT c.*, count(*) FILTER (WHERE c.rule IS NULL) OVER (turns ROWS UNBOUNDED PRECEDING)
                       + (c.rule IS NOT NULL)::integer AS call
            FROM covered c
            WHERE c.turn IS NOT NULL AND coalesce(c.cost <= greatest(c.amount_left, 0), TRUE)
            WINDOW turns AS (PARTITION BY c.business_id ORDER BY c.turn)
        ), within AS MATERIALIZED (
            -- The leads within the slots and permits of their business, and those before them that are not called.
            SELECT t.*, a.inflight
            FROM turn t JOIN unnest(room) a ON a.business_id = t.business_id AND t.call <= a.may_take
        ), due AS MATERIALIZED (
            -- The retries whose rows we could lock.
            SELECT q.job_id FROM within t JOIN dialer.retries q ON q.job_id = t.job_id AND q.business_id = t.business_id
            WHERE t.is_retry ORDER BY q.job_id FOR UPDATE OF q SKIP LOCKED
        ), free AS MATERIALIZED (
            -- The jobs whose rows we could lock.
            SELECT j.id
            FROM within t JOIN public.outbound_call_jobs j ON j.id = t.job_id AND j.business_id = t.business_id
            WHERE j.status = 'queued' ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED
        ), held AS MATERIALIZED (
            -- Whether its retry row or its job is locked.
            SELECT w.*, w.is_retry AND w.job_id NOT IN (SELECT d.job_id FROM due d) AS is_left,
                   w.job_id NOT IN (SELECT f.id FROM free f) AS locked
            FROM within w
        ), allowed AS (
            -- Whether its number is in use: one open attempt to a number at a time, across all runs.
            SELECT h.*,
                   EXISTS (SELECT FROM dialer.attempts o
                           WHERE o.business_id = h.business_id AND o.phone = h.phone AND o.id = ANY (h.inflight))
                   OR row_number() OVER (PARTITION BY h.business_id, h.phone, h.is_left ORDER BY h.turn) > 1
                       AS number_in_use
            FROM held h
        )
        SELECT ROW(a.business_id, a.run_id, a.job_id, a.phone, a.zone, a.position, a.is_retry, a.turn,
                   CASE WHEN a.is_left THEN 'left'
                        WHEN a.locked THEN 'put_off' WHEN a.ends_as IS NOT NULL THEN 'end'
                        WHEN a.rule IS NOT NULL OR a.number_in_use THEN 'put_off' ELSE 'take' END,
                   CASE WHEN NOT a.locked THEN a.rule END, CASE WHEN NOT a.locked THEN a.until END, a.ends_as,
                   CASE WHEN a.locked THEN 'locked' WHEN a.rule IS NOT NULL THEN coalesce(a.reason, a.rule)
                        WHEN a.number_in_use THEN 'same_phone' END, a.minute_price, a.max_cost,
                   a.first_position)::dialer.claim_pick
        FROM allowed a
        UNION ALL
        SELECT ROW(t.business_id, t.run_id, t.job_id, t.phone, t.zone, t.position, t.is_retry, t.turn, NULL, NULL,
                   NULL, NULL, NULL, NULL, NULL, t.first_position)::dialer.claim_pick
        FROM turn t WHERE t.job_id NOT IN (SELECT w.job_id FROM within w));
END
$$;

CREATE OR REPLACE FUNCTION dialer.claim_take_v1(
    room dialer.claim_room[], runs dialer.claim_run[], picks dialer.claim_pick[], p_token uuid, p_send_by timestamptz,
    p_ring_seconds integer)
RETURNS dialer.attempts[]
LANGUAGE plpgsql AS $$
DECLARE
    -- Retry a lead after this when its number is in use by another lead of the business, or its job row is locked.
    put_off_wait CONSTANT interval := '5 seconds';
    taken dialer.attempts[];
BEGIN
    WITH created AS (
        -- The attempts, in the order of their turns.
        INSERT INTO dialer.attempts AS n (business_id, run_id, job_id, token, nonce, phone, from_number, account_sid,
                                          ring_seconds, send_by, next_check_at, minute_price, max_cost)
        SELECT p.business_id, p.run_id, p.job_id, p_token,
               md5(gen_random_uuid()::text || gen_random_uuid()::text)::uuid, p.phone,
               dialer.caller_id_for(a.caller_ids, r.settings, p.phone, p.zone, r.calls_count + p.nth - 1),
               a.account_sid, p_ring_seconds, p_send_by, p_send_by, p.minute_price, p.max_cost
        FROM (SELECT c.*, row_number() OVER (PARTITION BY c.run_id ORDER BY c.turn) AS nth
              FROM unnest(picks) c WHERE c.fate = 'take') p
        JOIN unnest(room) a ON a.business_id = p.business_id JOIN unnest(runs) r ON r.id = p.run_id
        ORDER BY p.business_id, p.turn
        RETURNING n
    )
    SELECT array_agg(c.n ORDER BY (c.n).id) INTO taken FROM created c;
    UPDATE public.outbound_call_jobs j
    SET status = 'dialing', attempts = j.attempts + 1, attempt_id = t.id,
        -- Its beginning: an old application has an index of it, and nobody compares it.
        dial_lock_token = left(p_token::text, 6),
        started_at = coalesce(j.started_at, dialer.utc()), dial_started_at = dialer.utc()
    FROM unnest(taken) t WHERE j.id = t.job_id AND j.business_id = t.business_id;
    DELETE FROM dialer.retries q USING unnest(picks) p
    WHERE p.is_retry AND p.fate IN ('take', 'end') AND q.job_id = p.job_id AND q.business_id = p.business_id;
    INSERT INTO dialer.retries (business_id, run_id, job_id, zone, due_at, reason)
    SELECT p.business_id, p.run_id, p.job_id, p.zone, coalesce(p.until, now() + put_off_wait), p.reason
    FROM unnest(picks) p WHERE p.fate = 'put_off'
    ON CONFLICT (job_id) DO UPDATE SET due_at = excluded.due_at, reason = excluded.reason;
    PERFORM dialer.claim_refuse_v1(picks);
    UPDATE dialer.lanes l SET inflight = l.inflight || m.ids
    FROM (SELECT t.business_id, array_agg(t.id ORDER BY t.id) AS ids FROM unnest(taken) t GROUP BY t.business_id) m
    WHERE l.business_id = m.business_id;
    RETURN taken;
END
$$;

-- Moves each cursor past the leads that were picked, or past a stretch without a queued lead, and updates the counters
-- of the runs. Returns the runs in which such a stretch was skipped.
CREATE OR REPLACE FUNCTION dialer.claim_pass_v1(
    runs dialer.claim_run[], zones dialer.claim_zone[], offers dialer.claim_offer[], picks dialer.claim_pick[])
RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    moves CONSTANT dialer.claim_move[] := dialer.claim_moves_v1(zones, offers, picks);
BEGIN
    UPDATE dialer.run_zones z SET next_position = z.next_position + m.steps
    FROM unnest(moves) m
    WHERE z.run_id = m.run_id AND z.zone = m.zone AND z.first_position = m.first_position
      AND z.business_id = m.business_id;
    PERFORM dialer.claim_count_v1(runs, offers, picks, moves);
    RETURN ARRAY(SELECT m.run_id FROM unnest(moves) m WHERE m.skips);
END
$$;

-- How far each cursor moves. Only arrays are joined, by hashing: else the time would grow with the square of the runs.
CREATE OR REPLACE FUNCTION dialer.claim_moves_v1(
    zones dialer.claim_zone[], offers dialer.claim_offer[], picks dialer.claim_pick[])
RETURNS dialer.claim_move[]
LANGUAGE plpgsql
SET enable_hashjoin = on
SET enable_nestloop = off
AS $$
DECLARE
    scan CONSTANT integer := dialer.claim_scan();
BEGIN
    RETURN ARRAY(
        SELECT ROW(z.business_id, z.run_id, z.zone, z.first_position,
                   1 + coalesce(m.last, least(z.last_position, z.next_position + scan - 1)) - z.next_position,
                   m.last IS NULL)::dialer.claim_move
        FROM (SELECT (y.zone).*, (y.run).may_take FROM unnest(zones) y) z
        LEFT JOIN (SELECT p.run_id, p.zone, p.first_position, max(p.position) AS last FROM unnest(picks) p
                   WHERE NOT p.is_retry AND p.fate IS NOT NULL
                   GROUP BY p.run_id, p.zone, p.first_position) m
            ON m.run_id = z.run_id AND m.zone = z.zone AND m.first_position = z.first_position
        LEFT JOIN (SELECT c.run_id, c.zone, c.first_position, count(*) AS of_zone
                   FROM unnest(offers) c WHERE NOT c.is_retry GROUP BY c.run_id, c.zone, c.first_position) o
            ON o.run_id = z.run_id AND o.zone = z.zone AND o.first_position = z.first_position
        LEFT JOIN (SELECT c.run_id, count(*) AS count FROM unnest(offers) c WHERE NOT c.is_retry GROUP BY c.run_id) r
            ON r.run_id = z.run_id
        WHERE z.next_position <= z.last_position
          AND (m.last IS NOT NULL OR o.of_zone IS NULL AND coalesce(r.count, 0) < z.may_take));
END
$$;

-- What happened in each run; `stops` when its budget lets it call no more. Only arrays are joined: see claim_moves_v1.
CREATE OR REPLACE FUNCTION dialer.claim_tally_v1(
    runs dialer.claim_run[], offers dialer.claim_offer[], picks dialer.claim_pick[], moves dialer.claim_move[])
RETURNS TABLE (id integer, business_id integer, budget jsonb, taken integer, ended integer, skipped integer,
               completed integer, failed integer, last_turn bigint, steps integer, cost numeric, used_up boolean,
               stops boolean, amount_left numeric, price numeric)
LANGUAGE plpgsql
SET enable_hashjoin = on
SET enable_nestloop = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT x.id, x.business_id, x.settings -> 'budget', coalesce(t.taken, 0), coalesce(t.ended, 0),
           coalesce(t.skipped, 0), coalesce(t.completed, 0), coalesce(t.failed, 0), coalesce(t.last_turn, 0),
           coalesce(s.steps, 0), coalesce(t.cost, 0), u.used_up, u.used_up OR u.uncovered, x.amount_left, c.price
    FROM unnest(runs) x
    LEFT JOIN (SELECT p.run_id, count(*) FILTER (WHERE p.fate = 'take')::integer AS taken,
                      count(*) FILTER (WHERE p.fate = 'end')::integer AS ended,
                      count(*) FILTER (WHERE p.fate = 'end' AND p.ends_as = 'skipped')::integer AS skipped,
                      count(*) FILTER (WHERE p.fate = 'end' AND p.ends_as = 'completed')::integer AS completed,
                      count(*) FILTER (WHERE p.fate = 'end' AND p.ends_as = 'failed')::integer AS failed,
                      sum(p.max_cost) FILTER (WHERE p.fate = 'take') AS cost,
                      max(p.turn) FILTER (WHERE p.fate IN ('take', 'put_off', 'end')) AS last_turn
               FROM unnest(picks) p WHERE p.fate IS NOT NULL GROUP BY p.run_id) t ON t.run_id = x.id
    LEFT JOIN (SELECT m.run_id, sum(m.steps)::integer AS steps FROM unnest(moves) m GROUP BY m.run_id) s
        ON s.run_id = x.id
    -- What the next call reserves.
    LEFT JOIN (SELECT DISTINCT ON (o.run_id) o.run_id, o.max_cost AS price FROM unnest(offers) o
               WHERE o.rule IS NULL AND o.amount_left IS NOT NULL ORDER BY o.run_id, o.nth) c ON c.run_id = x.id
    CROSS JOIN LATERAL (
        -- `uncovered`: the next call costs too much, and no call in progress can give money back.
        SELECT coalesce(x.budget_left - coalesce(t.taken, 0) <= 0, FALSE) AS used_up,
               x.in_progress_count + coalesce(t.taken, 0) = 0
               AND coalesce(c.price > greatest(x.amount_left, 0), FALSE) AS uncovered) u
    WHERE x.held AND (t.run_id IS NOT NULL OR s.run_id IS NOT NULL OR x.budget_left IS NOT NULL
                      OR x.amount_left IS NOT NULL);
END
$$;

-- Updates the counters of the runs, and pauses a run whose budget is used up while it has leads left.
CREATE OR REPLACE FUNCTION dialer.claim_count_v1(
    runs dialer.claim_run[], offers dialer.claim_offer[], picks dialer.claim_pick[], moves dialer.claim_move[])
RETURNS void
-- Not in SQL: before PostgreSQL 18 that would be planned at each claim, which takes longer than running it.
LANGUAGE plpgsql AS $$
BEGIN
    WITH counted AS (
        UPDATE public.outbound_call_runs r
        SET queued_count = r.queued_count - m.taken - m.ended, in_progress_count = r.in_progress_count + m.taken,
            skipped_count = r.skipped_count + m.skipped, completed_count = r.completed_count + m.completed,
            failed_count = r.failed_count + m.failed, calls_count = r.calls_count + m.taken,
            amount_spent = r.amount_spent + m.cost,
            spent_currency = CASE WHEN m.cost > 0 THEN m.budget ->> 'currency' ELSE r.spent_currency END,
            cursor_position = r.cursor_position + m.steps,
            updated_at = dialer.utc(),
            -- A lead that was put off counts as a turn too. Of two runs served in one claim, the run with the last turn
            -- counts as served later.
            served_at = CASE WHEN m.last_turn > 0 THEN dialer.utc() + m.last_turn * interval '1 microsecond'
                             ELSE r.served_at END,
            status = CASE WHEN m.pauses THEN 'paused' ELSE r.status END,
            last_error = CASE WHEN NOT m.pauses THEN r.last_error
                WHEN m.used_up THEN format('The budget of %s calls is used up', m.budget ->> 'calls')
                ELSE format('The budget of %s %s does not cover another call', m.budget ->> 'amount',
                            m.budget ->> 'currency') END,
            last_error_cause = CASE WHEN NOT m.pauses THEN r.last_error_cause
                WHEN m.used_up THEN jsonb_build_object('kind', 'budget', 'calls', m.budget -> 'calls')
                ELSE jsonb_build_object('kind', 'budget_amount', 'amount', m.budget -> 'amount',
                                        'currency', m.budget -> 'currency', 'left', trim_scale(m.amount_left)::text,
                                        'price', trim_scale(m.price)::text) END
        FROM (SELECT t.*, t.stops AND EXISTS (
                         SELECT FROM public.outbound_call_runs n
                         WHERE n.id = t.id AND n.business_id = t.business_id
                           AND n.queued_count > t.taken + t.ended) AS pauses
              FROM dialer.claim_tally_v1(runs, offers, picks, moves) t OFFSET 0) m
        WHERE r.id = m.id AND r.business_id = m.business_id AND (m.last_turn > 0 OR m.steps > 0 OR m.pauses)
        RETURNING r.business_id, r.id, r.status, r.last_error, r.last_error_cause
    )
    INSERT INTO dialer.outbox (business_id, run_id, type, data)
    SELECT c.business_id, c.id, 'run.paused',
           jsonb_build_object('last_error', c.last_error, 'last_error_cause', c.last_error_cause)
    FROM counted c WHERE c.status = 'paused' ORDER BY c.id;
END
$$;

CREATE OR REPLACE FUNCTION dialer.claim_verdict_v1(
    room dialer.claim_room[], runs dialer.claim_run[], zones dialer.claim_zone[], picks dialer.claim_pick[],
    skipped_runs integer[], send_by timestamptz)
RETURNS TABLE (business_id integer, verdict text, put_off_until timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT a.business_id, v.verdict, CASE v.verdict WHEN 'put_off' THEN w.due_at END
    FROM unnest(room) a
    CROSS JOIN LATERAL (
        SELECT count(*) AS offered, count(*) FILTER (WHERE p.fate = 'take') AS taken,
               coalesce(bool_or(p.fate IN ('put_off', 'end')), FALSE)
               OR EXISTS (SELECT FROM unnest(runs) r
                          WHERE r.business_id = a.business_id AND r.id = ANY (skipped_runs)) AS moved,
               coalesce(bool_or(p.fate = 'left'), FALSE) AS lead_locked
        FROM unnest(picks) p WHERE p.business_id = a.business_id
    ) t
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM unnest(runs) r WHERE r.business_id = a.business_id AND NOT r.held)
               OR EXISTS (SELECT FROM unnest(runs) r
                          JOIN dialer.run_zones z ON z.run_id = r.id AND z.business_id = r.business_id
                          WHERE r.business_id = a.business_id AND r.held AND r.may_take > 0
                            AND dialer.may_offer(z.opens_at, z.closes_at, z.zone, a.countries, send_by)
                            AND (z.next_position <= z.last_position
                                 OR dialer.has_due_retry(z.business_id, z.run_id, z.zone))
                            AND NOT EXISTS (SELECT FROM unnest(zones) y
                                            WHERE (y.zone).run_id = z.run_id
                                              AND (y.zone).first_position = z.first_position)
               ) AS run_locked,
               (SELECT min(dialer.next_chance(z, send_by))
                FROM unnest(runs) r JOIN dialer.run_zones z ON z.run_id = r.id AND z.business_id = r.business_id
                WHERE r.business_id = a.business_id) AS due_at
    ) w
    CROSS JOIN LATERAL (
        SELECT CASE WHEN NOT a.owned THEN 'not_owner'
                    WHEN NOT a.listed THEN 'unlisted'
                    WHEN NOT a.held THEN 'busy'
                    WHEN a.barred IS NOT NULL THEN a.barred
                    WHEN a.slots - t.taken <= 0 THEN 'full'
                    WHEN t.lead_locked THEN 'busy'
                    WHEN t.moved THEN 'again'
                    WHEN t.offered > t.taken THEN 'gate'
                    WHEN w.run_locked THEN 'busy'
                    WHEN w.due_at IS NOT NULL THEN 'put_off'
                    ELSE 'empty' END AS verdict
    ) v;
END
$$;

-- In one claim a cursor skips at most this many rows that are no longer queued.
CREATE OR REPLACE FUNCTION dialer.claim_scan() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 1000 $$;
