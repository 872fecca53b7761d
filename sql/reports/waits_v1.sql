-- What keeps the leads of a run that are left: for people, so a cursor that stands on cancelled leads is not noticed.

-- The zones of a run that still have leads: `is_open` now, else `opens_at`. A window that is not computed yet, or has
-- just passed, is neither.
CREATE OR REPLACE FUNCTION dialer.zones_left_v1(p_business_id integer, p_run_id integer)
RETURNS TABLE (zone text, is_open boolean, is_closed boolean, opens_at timestamptz, has_new boolean)
LANGUAGE sql STABLE AS $$
    SELECT z.zone, bool_or(z.opens_at <= now() AND now() < z.closes_at), bool_or(z.opens_at > now()),
           nullif(min(z.opens_at) FILTER (WHERE z.opens_at > now()), 'infinity'),
           bool_or(z.next_position <= z.last_position)
    FROM dialer.run_zones z
    WHERE z.business_id = p_business_id AND z.run_id = p_run_id
    GROUP BY z.zone
$$;

-- Why no lead of a run can be taken now: a row each for closed, retry, recently_called, same_phone (another call to
-- the number is in progress) and put_off (nothing was sent a moment ago), with the earliest end; none when one can be
-- taken. Of the leads that wait, the next few hundred of each zone are looked at.
CREATE OR REPLACE FUNCTION dialer.leads_wait_v1(p_business_id integer, p_run_id integer)
RETURNS TABLE (reason text, until timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    seen CONSTANT integer := 300;
BEGIN
    RETURN QUERY
    WITH zones AS MATERIALIZED (
        SELECT * FROM dialer.zones_left_v1(p_business_id, p_run_id)
    ), waiting AS MATERIALIZED (
        SELECT z.zone, z.is_open, z.is_closed, z.opens_at, t.due_at, t.reason
        FROM zones z CROSS JOIN LATERAL (
            SELECT q.due_at, q.reason FROM dialer.retries q
            WHERE q.business_id = p_business_id AND q.run_id = p_run_id AND q.zone = z.zone
            ORDER BY q.due_at LIMIT seen) t
    ), why AS (
        SELECT 'closed' AS reason, z.opens_at AS until FROM zones z WHERE z.has_new AND z.is_closed
        UNION ALL
        SELECT 'closed', w.opens_at FROM waiting w WHERE w.due_at <= now() AND w.is_closed
        UNION ALL
        SELECT CASE WHEN w.reason IN ('gap', 'daily_cap') THEN 'recently_called'
                    WHEN w.reason IN ('retry', 'same_phone') THEN w.reason ELSE 'put_off' END,
               -- Due while its zone is still closed, it waits for both.
               CASE WHEN w.is_closed THEN greatest(w.due_at, w.opens_at) ELSE w.due_at END
        FROM waiting w WHERE w.due_at > now()
    )
    SELECT y.reason, min(y.until) FROM why y
    WHERE NOT EXISTS (SELECT FROM zones z WHERE z.has_new AND z.is_open)
      AND NOT EXISTS (SELECT FROM waiting w WHERE w.due_at <= now() AND w.is_open)
    GROUP BY y.reason;
END
$$;

-- The register that a business needs and has not, or not recently enough: its name, and since when.
CREATE OR REPLACE FUNCTION dialer.register_needed_v1(p_business_id integer)
RETURNS TABLE (name text, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT q.required ->> 'name', g.imported_at + make_interval(days => (q.required ->> 'max_age_days')::integer)
    FROM dialer.businesses b CROSS JOIN LATERAL jsonb_array_elements(b.required_registers) AS q (required)
    LEFT JOIN dialer.registers g ON g.business_id = b.business_id AND g.name = q.required ->> 'name' AND g.current
    WHERE b.business_id = p_business_id
      AND coalesce(g.imported_at < now() - make_interval(days => (q.required ->> 'max_age_days')::integer), TRUE)
    ORDER BY g.imported_at NULLS FIRST LIMIT 1
$$;

-- Whether the budget of a run is used up: its calls, or its amount (the run was paused when it did not cover a call at
-- this price, and it does not cover one now).
CREATE OR REPLACE FUNCTION dialer.is_spent(
    settings jsonb, calls_count integer, amount_spent numeric, last_error_cause jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(calls_count >= (settings -> 'budget' ->> 'calls')::integer, FALSE)
           OR coalesce(last_error_cause ->> 'kind' = 'budget_amount'
                       AND (last_error_cause ->> 'price')::numeric
                           > greatest((settings -> 'budget' ->> 'amount')::numeric - amount_spent, 0), FALSE)
$$;
