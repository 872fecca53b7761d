-- The rules of calling as the claim applies them; see docs/rules.md. dialer/policy has the same rules as functions.

CREATE OR REPLACE FUNCTION dialer.is_allowed(zone text, countries text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT countries IS NULL OR split_part(zone, ':', 1) = ANY (countries)
$$;

-- True when a claim may offer leads of a zone: it stays open until the last of their calls may be sent, or a rule will
-- end the leads.
CREATE OR REPLACE FUNCTION dialer.may_offer(
    opens_at timestamptz, closes_at timestamptz, zone text, countries text[], send_by timestamptz)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT opens_at <= now() AND send_by < closes_at OR opens_at = 'infinity' OR NOT dialer.is_allowed(zone, countries)
$$;

CREATE OR REPLACE FUNCTION dialer.has_due_retry(p_business_id integer, p_run_id integer, p_zone text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM dialer.retries t
                   WHERE t.business_id = p_business_id AND t.run_id = p_run_id AND t.zone = p_zone
                     AND t.due_at <= now())
$$;

-- When a lead of this zone can be claimed next: NULL when it has none, or some can be claimed now. A missing window is
-- computed within a second. A lead that waits in a zone that never opens is ended when it is due.
CREATE OR REPLACE FUNCTION dialer.next_chance(zone dialer.run_zones, send_by timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT min(greatest(c.due_at, o.at))
    FROM (SELECT CASE WHEN zone.opens_at = 'infinity' THEN now()
                      WHEN zone.opens_at <= now() AND send_by < zone.closes_at THEN now()
                      WHEN zone.opens_at > now() THEN zone.opens_at
                      ELSE greatest(now(), zone.closes_at) + interval '1 second' END AS at) o
    CROSS JOIN LATERAL (
        SELECT now() AS due_at WHERE zone.next_position <= zone.last_position
        UNION ALL
        SELECT min(t.due_at) FROM dialer.retries t
        WHERE t.business_id = zone.business_id AND t.run_id = zone.run_id AND t.zone = zone.zone
          AND t.due_at > CASE WHEN o.at > now() THEN '-infinity' ELSE now() END) c
    WHERE c.due_at IS NOT NULL AND greatest(c.due_at, o.at) > now() AND o.at IS NOT NULL
$$;

-- True when a register that the business needs has not been imported, or is too old.
CREATE OR REPLACE FUNCTION dialer.lacks_register(p_business_id integer, required jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN required <> '[]' AND EXISTS (
        SELECT FROM jsonb_array_elements(required) q
        WHERE NOT EXISTS (
            SELECT FROM dialer.registers g
            WHERE g.business_id = p_business_id AND g.name = q ->> 'name' AND g.current
              AND g.imported_at >= now() - make_interval(days => (q ->> 'max_age_days')::integer)));
END
$$;

-- Checks the offered leads by the rules of calling, and finds whose turn has come. Checked are those whose turn is
-- within the permits, and where a rule stops one of them, all others of that business too. Beside a run with a budget
-- in money all are: the budget may not cover its leads, and then their turns are those of others.
CREATE OR REPLACE FUNCTION dialer.claim_rules_v1(
    room dialer.claim_room[], runs dialer.claim_run[], zones dialer.claim_zone[], offers dialer.claim_offer[],
    priced integer[], p_max_minutes integer)
RETURNS dialer.claim_offer[]
LANGUAGE plpgsql AS $$
DECLARE
    rulings dialer.claim_ruling[] := dialer.claim_check_v1(room, runs, zones, offers, priced, '{}', p_max_minutes);
    stopped integer[];
BEGIN
    -- Without offers the rest is run too: it is planned so (see claim_v1).
    IF cardinality(offers) > 0 AND cardinality(rulings) = 0 AND cardinality(priced) = 0 THEN
        RETURN offers;
    END IF;
    stopped := ARRAY(SELECT DISTINCT g.business_id FROM unnest(rulings) g WHERE g.rule IS NOT NULL);
    IF cardinality(stopped) > 0 THEN
        rulings := rulings || dialer.claim_check_v1(room, runs, zones, offers, priced, stopped, p_max_minutes);
    END IF;
    RETURN dialer.claim_turns_v1(runs, offers, rulings);
END
$$;

-- What the rules and prices say of those offered leads of which they say anything: of those whose turn is within the
-- permits and all of the businesses in `priced`, or of the others of the businesses in `stopped`.
CREATE OR REPLACE FUNCTION dialer.claim_check_v1(
    room dialer.claim_room[], runs dialer.claim_run[], zones dialer.claim_zone[], offers dialer.claim_offer[],
    priced integer[], stopped integer[], p_max_minutes integer)
RETURNS dialer.claim_ruling[]
LANGUAGE plpgsql AS $$
DECLARE
    -- Other runs do not call a number for this long after the provider has refused it.
    refused_for CONSTANT interval := '90 days';
BEGIN
    RETURN ARRAY(
        SELECT ROW(c.business_id, c.run_id, c.nth, c.rule,
                   CASE c.rule WHEN 'daily_cap' THEN (zones[c.zone_no]).day_to WHEN 'gap' THEN c.gap_ends END,
                   CASE WHEN v.reason IS NOT NULL THEN dialer.job_without_call(c.business_id, c.job_id) END,
                   v.reason, m.minute_price, m.minute_price * p_max_minutes, c.in_use)::dialer.claim_ruling
        FROM (
            -- OFFSET 0: so that the rule is computed once.
            SELECT o.business_id, o.run_id, o.run_no, o.zone_no, o.job_id, o.phone, o.nth, e.gap_ends, e.in_use,
                   CASE WHEN NOT dialer.is_allowed(z.zone, r.countries) THEN 'country'
                        WHEN d.register_id = 0 THEN 'do_not_call'
                        WHEN d.register_id > 0 THEN 'register'
                        WHEN e.refused THEN 'number'
                        WHEN z.never_opens THEN 'hours'
                        WHEN e.today >= r.max_per_day THEN 'daily_cap'
                        WHEN e.gap_ends > now() THEN 'gap' END AS rule
            FROM unnest(offers) o
            CROSS JOIN LATERAL (SELECT (runs[o.run_no]).*) r
            CROSS JOIN LATERAL (SELECT (zones[o.zone_no]).*) z
            CROSS JOIN LATERAL (SELECT min(d.register_id) AS register_id FROM dialer.do_not_call d
                                WHERE d.business_id = o.business_id AND d.phone = o.phone
                                  AND d.register_id = ANY (r.registers)) d
            CROSS JOIN LATERAL (
                -- The calls that were or may have been placed. `gap_ends`: by the last call of another run. `refused`:
                -- the provider refused a call of another run because of the number, and none has gone through since.
                -- `in_use`: one is open.
                SELECT count(*) FILTER (WHERE t.created_at >= z.day_from) AS today,
                       max(t.created_at) FILTER (WHERE t.run_id <> ALL (r.lineage)) + r.gap AS gap_ends,
                       max(t.created_at) FILTER (WHERE t.run_id <> ALL (r.lineage)
                                                       AND t.created_at >= now() - refused_for
                                                       AND dialer.is_number_fault(t.error_code))
                           > coalesce(max(t.created_at) FILTER (WHERE dialer.went_through(t.outcome)),
                                      '-infinity') AS refused,
                       coalesce(bool_or(t.id = ANY ((room[r.room_no]).inflight)), FALSE) AS in_use
                FROM dialer.attempts t
                WHERE t.business_id = o.business_id AND t.phone = o.phone
                  -- A number may have been called for years.
                  AND t.created_at >= least(now() - greatest(r.gap, refused_for), z.day_from,
                                            (room[r.room_no]).oldest_call)
                  AND t.state NOT IN ('not_sent', 'not_placed')) e
            WHERE CASE WHEN cardinality(stopped) = 0 THEN o.is_next OR o.business_id = ANY (priced)
                       ELSE NOT o.is_next AND o.business_id <> ALL (priced) AND o.business_id = ANY (stopped) END
            OFFSET 0
        ) c
        CROSS JOIN LATERAL (
            SELECT CASE WHEN c.rule = 'country' THEN 'country_not_allowed'
                        WHEN c.rule IN ('do_not_call', 'register') THEN 'do_not_call'
                        WHEN c.rule = 'number' THEN 'number_refused'
                        WHEN c.rule = 'hours' THEN 'hours_never_open'
                        WHEN c.rule = 'gap' AND (runs[c.run_no]).skips_recent THEN 'recently_called' END AS reason) v
        CROSS JOIN LATERAL (
            SELECT CASE WHEN (runs[c.run_no]).amount_left IS NOT NULL
                        THEN dialer.minute_price((runs[c.run_no]).settings -> 'budget' ->> 'currency', c.phone)
                   END AS minute_price) m
        WHERE c.rule IS NOT NULL OR c.in_use OR (runs[c.run_no]).amount_left IS NOT NULL);
END
$$;

-- Whose turn has come, where a rule stops some of the leads, or a budget in money may not cover them. Only arrays are
-- joined, by hashing: else the time would grow with the square of the leads.
CREATE OR REPLACE FUNCTION dialer.claim_turns_v1(
    runs dialer.claim_run[], offers dialer.claim_offer[], rulings dialer.claim_ruling[])
RETURNS dialer.claim_offer[]
LANGUAGE plpgsql
SET enable_hashjoin = on
SET enable_nestloop = off
AS $$
BEGIN
    RETURN ARRAY(
        WITH ruled AS (
            -- `cost`: the highest cost of the calls of its run up to this one.
            SELECT o.business_id, o.run_id, o.run_no, o.zone_no, o.job_id, o.phone, o.position, o.is_retry, o.nth,
                   o.turn, g.rule, g.until, g.ends_as, g.reason, g.minute_price, g.max_cost, g.in_use,
                   sum(g.max_cost) FILTER (WHERE g.rule IS NULL) OVER (PARTITION BY o.run_id ORDER BY o.nth) AS cost
            FROM unnest(offers) o LEFT JOIN unnest(rulings) g ON g.run_id = o.run_id AND g.nth = o.nth
        ), covered AS (
            SELECT u.*, CASE WHEN coalesce(u.cost <= greatest((runs[u.run_no]).amount_left, 0), TRUE)
                             THEN u.turn END AS place
            FROM ruled u
        ), turn AS (
            -- `call` is the number that the call of this lead would have: a lead that a rule stops uses no number.
            SELECT c.*, count(*) FILTER (WHERE c.rule IS NULL) OVER (turns ROWS UNBOUNDED PRECEDING)
                       + (c.rule IS NOT NULL)::integer AS call
            FROM covered c
            WINDOW turns AS (PARTITION BY c.business_id, c.place IS NULL ORDER BY c.place)
        )
        -- The leads within the slots and permits of their business, and those before them that are not called.
        SELECT ROW(t.business_id, t.run_id, t.run_no, t.zone_no, t.job_id, t.phone, t.position, t.is_retry, t.nth,
                   t.place, t.place IS NOT NULL AND t.call <= (runs[t.run_no]).permits,
                   t.rule, t.until, t.ends_as, t.reason, t.minute_price, t.max_cost,
                   coalesce(t.in_use, FALSE))::dialer.claim_offer
        FROM turn t);
END
$$;

-- The last status of a queued lead that is not called: skipped, or by the outcome of its earlier calls.
CREATE OR REPLACE FUNCTION dialer.job_without_call(p_business_id integer, p_job_id bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN j.outcome IS NULL THEN 'skipped'
                WHEN j.outcome IN ('human', 'machine', 'fax', 'answered') THEN 'completed'
                ELSE 'failed' END
    FROM public.outbound_call_jobs j WHERE j.id = p_job_id AND j.business_id = p_business_id
$$;
