-- When the zones of a run are open, as run_zones stores it. Nothing stored is closed, so a change of rules deletes what
-- was computed by the old ones in its own transaction, and a worker computes it anew.

-- The calling hours that hold for a run; a JSON null is always.
CREATE OR REPLACE FUNCTION dialer.hours_of(settings jsonb, of_business jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN settings ? 'calling_hours' THEN settings -> 'calling_hours' ELSE coalesce(of_business, 'null') END
$$;

-- True when the calls of each calendar day are counted: a window then ends with the day of the called person.
CREATE OR REPLACE FUNCTION dialer.counts_days(settings jsonb, of_business integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN settings ? 'max_per_day' THEN settings -> 'max_per_day' <> 'null' ELSE of_business IS NOT NULL END
$$;

-- A run without hours and without a daily cap is always open, and needs no worker to say so.
CREATE OR REPLACE FUNCTION dialer.is_always_open(settings jsonb, hours_of_business jsonb, max_of_business integer)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT dialer.hours_of(settings, hours_of_business) = 'null' AND NOT dialer.counts_days(settings, max_of_business)
$$;

-- Delete the windows of a run, or of all runs of a business that have not ended. The caller has locked the lane, or
-- the run.
CREATE OR REPLACE FUNCTION dialer.reset_windows_v1(p_business_id integer, p_run_id integer) RETURNS void
LANGUAGE sql AS $$
    UPDATE dialer.run_zones z
    SET opens_at = CASE WHEN w.always THEN '-infinity'::timestamptz END,
        closes_at = CASE WHEN w.always THEN 'infinity'::timestamptz END, day_from = NULL, day_to = NULL
    FROM (SELECT r.id, dialer.is_always_open(r.settings, b.calling_hours, b.max_per_day) AS always
          FROM public.outbound_call_runs r JOIN dialer.businesses b ON b.business_id = r.business_id
          WHERE r.business_id = p_business_id AND (p_run_id IS NULL OR r.id = p_run_id)
            AND r.status IN ('pending', 'running', 'paused')) w
    WHERE z.business_id = p_business_id AND z.run_id = w.id
$$;

-- Add the zones of leads at these positions, which follow all others of the run. Where the same zone comes just before,
-- its row is extended: every claim locks the rows of a run, so they must stay few however often leads are added. The
-- zones that the run has already stay as open as they are: a new row has the window of its zone, and that of a new zone
-- is computed by a worker. The caller has locked the lane and the run, or the run cannot be started yet.
CREATE OR REPLACE FUNCTION dialer.add_zones_v1(
    p_business_id integer, p_run_id integer, p_zones text[], p_first integer[], p_last integer[])
RETURNS void
LANGUAGE sql AS $$
    WITH added AS (
        SELECT * FROM unnest(p_zones, p_first, p_last) AS a (zone, first_position, last_position)
    ), extended AS (
        UPDATE dialer.run_zones z SET last_position = h.to_position
        FROM (SELECT y.zone, y.first_position, a.last_position AS to_position
              FROM added a JOIN dialer.run_zones y ON y.zone = a.zone AND y.last_position = a.first_position - 1
              WHERE y.business_id = p_business_id AND y.run_id = p_run_id
              -- A row that another session has locked must not delay the lane: the leads get one of their own.
              FOR NO KEY UPDATE OF y SKIP LOCKED) h
        WHERE z.business_id = p_business_id AND z.run_id = p_run_id AND z.zone = h.zone
          AND z.first_position = h.first_position
        RETURNING z.zone
    )
    INSERT INTO dialer.run_zones (business_id, run_id, zone, first_position, last_position, next_position, opens_at,
                                  closes_at, day_from, day_to)
    SELECT p_business_id, p_run_id, a.zone, a.first_position, a.last_position, a.first_position,
           CASE WHEN w.always THEN '-infinity' ELSE s.opens_at END,
           CASE WHEN w.always THEN 'infinity' ELSE s.closes_at END, s.day_from, s.day_to
    FROM added a
    CROSS JOIN (SELECT dialer.is_always_open(r.settings, b.calling_hours, b.max_per_day) AS always
                FROM public.outbound_call_runs r JOIN dialer.businesses b ON b.business_id = r.business_id
                WHERE r.business_id = p_business_id AND r.id = p_run_id) w
    LEFT JOIN LATERAL (SELECT y.opens_at, y.closes_at, y.day_from, y.day_to FROM dialer.run_zones y
                       WHERE y.business_id = p_business_id AND y.run_id = p_run_id AND y.zone = a.zone
                       ORDER BY y.first_position DESC LIMIT 1) s ON TRUE
    WHERE a.zone NOT IN (SELECT e.zone FROM extended e)
$$;

-- Store windows that a worker has computed, unless the rules it computed them by have changed since, or a row is
-- locked. Returns the runs whose windows were stored.
CREATE OR REPLACE FUNCTION dialer.store_windows_v1(
    p_business_ids integer[], p_run_ids integer[], p_zones text[], p_hours jsonb[], p_by_day boolean[],
    p_opens_at timestamptz[], p_closes_at timestamptz[], p_day_from timestamptz[], p_day_to timestamptz[])
RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    held_lanes integer[];
    held_zones dialer.run_zones[];
    stored integer[];
BEGIN
    held_lanes := ARRAY(SELECT l.business_id FROM dialer.lanes l WHERE l.business_id = ANY (p_business_ids)
                        ORDER BY l.business_id FOR NO KEY UPDATE SKIP LOCKED);
    held_zones := ARRAY(SELECT z FROM unnest(p_business_ids, p_run_ids, p_zones) AS w (business_id, run_id, zone)
                        JOIN dialer.run_zones z
                            ON z.run_id = w.run_id AND z.zone = w.zone AND z.business_id = w.business_id
                        WHERE w.business_id = ANY (held_lanes)
                        ORDER BY z.run_id, z.zone, z.first_position FOR NO KEY UPDATE OF z SKIP LOCKED);
    WITH changed AS (
        UPDATE dialer.run_zones z
        SET opens_at = w.opens_at, closes_at = w.closes_at, day_from = w.day_from, day_to = w.day_to
        FROM unnest(p_business_ids, p_run_ids, p_zones, p_hours, p_by_day, p_opens_at, p_closes_at, p_day_from,
                    p_day_to)
                 AS w (business_id, run_id, zone, hours, by_day, opens_at, closes_at, day_from, day_to)
        JOIN unnest(held_zones) h ON h.run_id = w.run_id AND h.zone = w.zone
        JOIN public.outbound_call_runs r ON r.id = w.run_id AND r.business_id = w.business_id
        JOIN dialer.businesses b ON b.business_id = w.business_id
        -- A client sends a JSON null as NULL.
        WHERE dialer.hours_of(r.settings, b.calling_hours) = coalesce(w.hours, 'null')
          AND dialer.counts_days(r.settings, b.max_per_day) = w.by_day
          AND z.business_id = w.business_id AND z.run_id = h.run_id AND z.zone = h.zone
          AND z.first_position = h.first_position
        RETURNING z.run_id
    )
    SELECT coalesce(array_agg(DISTINCT c.run_id), '{}') INTO stored FROM changed c;
    RETURN stored;
END
$$;
