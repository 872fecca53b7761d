-- What a claim changes in the runs, and its verdicts; see claim_v1.sql for the steps.

-- What happens to each row of run_zones. Its cursor moves past the leads that were picked, or past a stretch without a
-- queued lead.
CREATE OR REPLACE FUNCTION dialer.claim_tally_v1(
    runs dialer.claim_run[], zones dialer.claim_zone[], offers dialer.claim_offer[], picks dialer.claim_pick[])
RETURNS dialer.claim_tally[]
LANGUAGE plpgsql AS $$
DECLARE
    scan CONSTANT integer := dialer.claim_scan();
    tallies CONSTANT dialer.claim_tally[] := ARRAY(
        SELECT ROW(z.business_id, z.run_id, z.zone, z.first_position, coalesce(1 + p.last - z.next_position, 0), FALSE,
                   p.retries, p.taken, p.put_off, p.left_locked, p.skipped, p.completed, p.failed, p.last_turn,
                   p.cost)::dialer.claim_tally
        FROM (SELECT p.zone_no, max(p.position) FILTER (WHERE NOT p.is_retry) AS last,
                     count(*) FILTER (WHERE p.is_retry) AS retries,
                     count(*) FILTER (WHERE p.fate = 'take') AS taken,
                     count(*) FILTER (WHERE p.fate = 'put_off') AS put_off,
                     count(*) FILTER (WHERE p.fate = 'left') AS left_locked,
                     count(*) FILTER (WHERE p.fate = 'end' AND p.ends_as = 'skipped') AS skipped,
                     count(*) FILTER (WHERE p.fate = 'end' AND p.ends_as = 'completed') AS completed,
                     count(*) FILTER (WHERE p.fate = 'end' AND p.ends_as = 'failed') AS failed,
                     max(p.turn) FILTER (WHERE p.fate <> 'left') AS last_turn,
                     sum(p.max_cost) FILTER (WHERE p.fate = 'take') AS cost
              FROM unnest(picks) p GROUP BY p.zone_no) p
        CROSS JOIN LATERAL (SELECT (zones[p.zone_no]).*) z);
BEGIN
    -- Without zones the rest is run too: it is planned so (see claim_v1).
    IF cardinality(zones) > 0
       AND (SELECT count(*) FROM unnest(tallies) t WHERE t.steps > 0) = cardinality(zones) THEN
        RETURN tallies;
    END IF;
    RETURN tallies || ARRAY(
        SELECT ROW(z.business_id, z.run_id, z.zone, z.first_position,
                   1 + least(z.last_position, z.next_position + scan - 1) - z.next_position, TRUE,
                   0, 0, 0, 0, 0, 0, 0, NULL, NULL)::dialer.claim_tally
        FROM unnest(zones) WITH ORDINALITY z
        WHERE z.next_position <= z.last_position
          AND z.ordinality NOT IN (SELECT o.zone_no FROM unnest(offers) o WHERE NOT o.is_retry)
          -- Its run has seen all its zones: it was offered fewer new leads than it may take.
          AND z.run_no NOT IN (SELECT o.run_no FROM unnest(offers) o WHERE NOT o.is_retry
                               GROUP BY o.run_no HAVING count(*) >= (runs[o.run_no]).may_take));
END
$$;

-- Moves the cursors, and updates the counters of the runs.
CREATE OR REPLACE FUNCTION dialer.claim_pass_v1(tallies dialer.claim_tally[]) RETURNS void
-- Not in SQL: before PostgreSQL 18 that would be planned at each claim, which takes longer than running it.
LANGUAGE plpgsql AS $$
DECLARE
    utc CONSTANT timestamp := dialer.utc();
BEGIN
    UPDATE dialer.run_zones z SET next_position = z.next_position + t.steps
    FROM unnest(tallies) t
    WHERE z.run_id = t.run_id AND z.zone = t.zone AND z.first_position = t.first_position
      AND z.business_id = t.business_id AND t.steps > 0;
    UPDATE public.outbound_call_runs r
    SET queued_count = r.queued_count - m.taken - m.skipped - m.completed - m.failed,
        in_progress_count = r.in_progress_count + m.taken, skipped_count = r.skipped_count + m.skipped,
        completed_count = r.completed_count + m.completed, failed_count = r.failed_count + m.failed,
        calls_count = r.calls_count + m.taken, amount_spent = r.amount_spent + m.cost,
        spent_currency = CASE WHEN m.cost > 0 THEN r.settings -> 'budget' ->> 'currency' ELSE r.spent_currency END,
        cursor_position = r.cursor_position + m.steps,
        updated_at = utc,
        -- A lead that was put off counts as a turn too. Of two runs served in one claim, the run with the last turn
        -- counts as served later.
        served_at = coalesce(utc + m.last_turn * interval '1 microsecond', r.served_at)
    FROM (SELECT t.business_id, t.run_id, sum(t.taken)::integer AS taken, sum(t.skipped)::integer AS skipped,
                 sum(t.completed)::integer AS completed, sum(t.failed)::integer AS failed,
                 sum(t.steps)::integer AS steps, max(t.last_turn) AS last_turn, coalesce(sum(t.cost), 0) AS cost
          FROM unnest(tallies) t GROUP BY t.business_id, t.run_id) m
    WHERE r.id = m.run_id AND r.business_id = m.business_id AND (m.last_turn > 0 OR m.steps > 0);
END
$$;

-- The runs whose budget lets them call no more: `used_up`, or no longer covering the `price` of the next call, while no
-- call in progress can give money back. Only arrays are joined, by hashing: else the time would grow with the square of
-- the runs.
CREATE OR REPLACE FUNCTION dialer.claim_budgets_v1(
    runs dialer.claim_run[], offers dialer.claim_offer[], tallies dialer.claim_tally[])
RETURNS TABLE (id integer, business_id integer, budget jsonb, used_up boolean, amount_left numeric, price numeric)
LANGUAGE plpgsql
SET enable_hashjoin = on
SET enable_nestloop = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT x.id, x.business_id, x.settings -> 'budget', u.used_up, x.amount_left, c.price
    FROM unnest(runs) x
    LEFT JOIN (SELECT t.run_id, sum(t.taken) AS taken FROM unnest(tallies) t GROUP BY t.run_id) t ON t.run_id = x.id
    -- What the next call reserves.
    LEFT JOIN (SELECT DISTINCT ON (o.run_id) o.run_id, o.max_cost AS price FROM unnest(offers) o
               WHERE o.rule IS NULL ORDER BY o.run_id, o.nth) c ON c.run_id = x.id
    CROSS JOIN LATERAL (
        SELECT coalesce(x.budget_left - coalesce(t.taken, 0) <= 0, FALSE) AS used_up,
               x.in_progress_count + coalesce(t.taken, 0) = 0
               AND coalesce(c.price > greatest(x.amount_left, 0), FALSE) AS uncovered) u
    WHERE x.held AND (u.used_up OR u.uncovered);
END
$$;

-- Pauses a run whose budget lets it call no more while it has leads left.
CREATE OR REPLACE FUNCTION dialer.claim_pause_v1(
    runs dialer.claim_run[], offers dialer.claim_offer[], tallies dialer.claim_tally[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH paused AS (
        UPDATE public.outbound_call_runs r
        SET status = 'paused', updated_at = dialer.utc(),
            last_error = CASE WHEN b.used_up THEN format('The budget of %s calls is used up', b.budget ->> 'calls')
                ELSE format('The budget of %s %s does not cover another call', b.budget ->> 'amount',
                            b.budget ->> 'currency') END,
            last_error_cause = CASE
                WHEN b.used_up THEN jsonb_build_object('kind', 'budget', 'calls', b.budget -> 'calls')
                ELSE jsonb_build_object('kind', 'budget_amount', 'amount', b.budget -> 'amount',
                                        'currency', b.budget -> 'currency', 'left', trim_scale(b.amount_left)::text,
                                        'price', trim_scale(b.price)::text) END
        FROM dialer.claim_budgets_v1(runs, offers, tallies) b
        WHERE r.id = b.id AND r.business_id = b.business_id AND r.queued_count > 0
        RETURNING r.business_id, r.id, r.last_error, r.last_error_cause
    )
    INSERT INTO dialer.outbox (business_id, run_id, type, data)
    SELECT p.business_id, p.id, 'run.paused',
           jsonb_build_object('last_error', p.last_error, 'last_error_cause', p.last_error_cause)
    FROM paused p ORDER BY p.id;
END
$$;

-- One verdict for each business. Only arrays are joined, by hashing: else the time would grow with the square of the
-- businesses.
CREATE OR REPLACE FUNCTION dialer.claim_verdict_v1(
    room dialer.claim_room[], runs dialer.claim_run[], zones dialer.claim_zone[], offers dialer.claim_offer[],
    tallies dialer.claim_tally[], send_by timestamptz)
RETURNS TABLE (business_id integer, verdict text, put_off_until timestamptz)
LANGUAGE plpgsql
SET enable_hashjoin = on
AS $$
#variable_conflict use_column
DECLARE
    businesses integer[];
    -- NULL: it was offered no lead.
    verdicts text[];
BEGIN
    SELECT array_agg(a.business_id), array_agg(
               CASE WHEN NOT a.owned THEN 'not_owner'
                    WHEN NOT a.listed THEN 'unlisted'
                    WHEN NOT a.held THEN 'busy'
                    WHEN a.barred IS NOT NULL THEN a.barred
                    WHEN a.slots - coalesce(t.taken, 0) <= 0 THEN 'full'
                    WHEN t.lead_locked THEN 'busy'
                    WHEN t.moved THEN 'again'
                    WHEN a.business_id IN (SELECT o.business_id FROM unnest(offers) o
                                           WHERE o.turn IS NOT NULL AND NOT o.is_next) THEN 'gate' END)
    INTO businesses, verdicts
    FROM unnest(room) a
    LEFT JOIN (SELECT t.business_id, sum(t.taken) AS taken, bool_or(t.left_locked > 0) AS lead_locked,
                      bool_or(t.skips OR t.put_off + t.skipped + t.completed + t.failed > 0) AS moved
               FROM unnest(tallies) t GROUP BY t.business_id) t ON t.business_id = a.business_id;
    RETURN QUERY SELECT v.business_id, v.verdict, NULL::timestamptz
                 FROM unnest(businesses, verdicts) v (business_id, verdict) WHERE v.verdict IS NOT NULL;
    -- Without businesses this is run too: it is planned so (see claim_v1).
    IF verdicts IS NULL OR array_position(verdicts, NULL) IS NOT NULL THEN
        RETURN QUERY SELECT * FROM dialer.claim_wait_v1(
            runs, zones, ARRAY(SELECT v.business_id FROM unnest(businesses, verdicts) v (business_id, verdict)
                               WHERE v.verdict IS NULL), send_by);
    END IF;
END
$$;

-- The verdicts of businesses that have no lead to take now.
CREATE OR REPLACE FUNCTION dialer.claim_wait_v1(
    runs dialer.claim_run[], zones dialer.claim_zone[], idle integer[], send_by timestamptz)
RETURNS TABLE (business_id integer, verdict text, put_off_until timestamptz)
LANGUAGE plpgsql
SET enable_hashjoin = on
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT i.business_id, CASE WHEN w.is_locked THEN 'busy' WHEN w.due_at IS NOT NULL THEN 'put_off' ELSE 'empty' END,
           CASE WHEN w.is_locked IS NOT TRUE THEN w.due_at END
    FROM unnest(idle) i (business_id)
    LEFT JOIN (
        -- `is_locked`: a run, or a row of run_zones that may have leads.
        SELECT r.business_id, bool_or(NOT r.held OR z.is_locked) AS is_locked, min(z.due_at) AS due_at
        FROM unnest(runs) r
        CROSS JOIN LATERAL (
            -- An aggregate is read for each run, never by hashing the whole table.
            SELECT bool_or(r.may_take > 0
                           AND dialer.may_offer(z.opens_at, z.closes_at, z.zone, r.countries, send_by)
                           AND (z.next_position <= z.last_position
                                OR dialer.has_due_retry(z.business_id, z.run_id, z.zone))
                           AND (z.run_id, z.first_position) NOT IN (SELECT y.run_id, y.first_position
                                                                    FROM unnest(zones) y)) AS is_locked,
                   min(dialer.next_chance(z, send_by)) AS due_at
            FROM dialer.run_zones z WHERE z.run_id = r.id AND z.business_id = r.business_id) z
        WHERE r.business_id = ANY (idle) GROUP BY r.business_id) w ON w.business_id = i.business_id;
END
$$;
