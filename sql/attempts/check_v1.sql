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

-- Each offered lead with the first rule that keeps it from being called now, if any.
CREATE OR REPLACE FUNCTION dialer.claim_check_v1(
    room dialer.claim_room[], zones dialer.claim_zone[], offers dialer.claim_offer[], p_max_minutes integer)
RETURNS dialer.claim_offer[]
LANGUAGE plpgsql
-- Only arrays are joined; tables are read for each row.
SET enable_hashjoin = on
AS $$
DECLARE
    -- Other runs do not call a number for this long after the provider has refused it.
    refused_for CONSTANT interval := '90 days';
BEGIN
    RETURN ARRAY(
        SELECT ROW(c.business_id, c.run_id, c.job_id, c.phone, c.zone, c.position, c.is_retry, c.nth, v.rule,
                   CASE v.rule WHEN 'daily_cap' THEN z.day_to WHEN 'gap' THEN e.gap_ends END,
                   CASE WHEN v.reason IS NOT NULL THEN dialer.job_without_call(c.business_id, c.job_id) END,
                   v.reason, m.minute_price, m.minute_price * p_max_minutes, c.first_position, c.turn, c.is_next,
                   c.amount_left)::dialer.claim_offer
        FROM unnest(offers) c
        JOIN unnest(room) a ON a.business_id = c.business_id
        JOIN (SELECT DISTINCT ON ((y.zone).run_id, (y.zone).zone) y.zone, y.run FROM unnest(zones) y
              ORDER BY (y.zone).run_id, (y.zone).zone, (y.zone).first_position) y
            ON (y.zone).run_id = c.run_id AND (y.zone).zone = c.zone
        CROSS JOIN LATERAL (SELECT (y.run).*) r CROSS JOIN LATERAL (SELECT (y.zone).*) z
        CROSS JOIN LATERAL (SELECT min(d.register_id) AS register_id FROM dialer.do_not_call d
                            WHERE d.business_id = c.business_id AND d.phone = c.phone
                              AND d.register_id = ANY (a.registers)) d
        CROSS JOIN LATERAL (
            -- The calls that were or may have been placed. `gap_ends`: by the last call of another run. `refused`: the
            -- provider refused a call of another run because of the number, and none has gone through since.
            SELECT count(*) FILTER (WHERE o.created_at >= z.day_from) AS today,
                   max(o.created_at) FILTER (WHERE o.run_id <> ALL (r.lineage)) + r.gap AS gap_ends,
                   max(o.created_at) FILTER (WHERE o.run_id <> ALL (r.lineage)
                                                   AND o.created_at >= now() - refused_for
                                                   AND dialer.is_number_fault(o.error_code))
                       > coalesce(max(o.created_at) FILTER (WHERE dialer.went_through(o.outcome)),
                                  '-infinity') AS refused
            FROM dialer.attempts o
            WHERE o.business_id = c.business_id AND o.phone = c.phone
              AND o.created_at >= least(now() - greatest(r.gap, refused_for), z.day_from)
              AND o.state NOT IN ('not_sent', 'not_placed')) e
        CROSS JOIN LATERAL (
            SELECT CASE WHEN NOT dialer.is_allowed(c.zone, a.countries) THEN 'country'
                        WHEN d.register_id = 0 THEN 'do_not_call'
                        WHEN d.register_id > 0 THEN 'register'
                        WHEN e.refused THEN 'number'
                        WHEN z.opens_at = 'infinity' THEN 'hours'
                        WHEN e.today >= r.max_per_day THEN 'daily_cap'
                        WHEN e.gap_ends > now() THEN 'gap' END AS rule) w
        CROSS JOIN LATERAL (
            SELECT w.rule, CASE WHEN w.rule = 'country' THEN 'country_not_allowed'
                                WHEN w.rule IN ('do_not_call', 'register') THEN 'do_not_call'
                                WHEN w.rule = 'number' THEN 'number_refused'
                                WHEN w.rule = 'hours' THEN 'hours_never_open'
                                WHEN w.rule = 'gap' AND r.skips_recent THEN 'recently_called' END AS reason) v
        CROSS JOIN LATERAL (
            SELECT CASE WHEN r.amount_left IS NOT NULL
                        THEN dialer.minute_price(r.settings -> 'budget' ->> 'currency', c.phone)
                   END AS minute_price) m);
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

-- Ends the leads that a rule never allows to be called, and stores each refusal once.
CREATE OR REPLACE FUNCTION dialer.claim_refuse_v1(picks dialer.claim_pick[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(picks) p WHERE p.fate IN ('put_off', 'end') AND p.rule IS NOT NULL) THEN
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
END
$$;
