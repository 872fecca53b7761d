-- Change the fields of a business that are in p_changes, by the names of `GET /api/business`. Holds the lane, as the
-- claim does: what this commits holds for every later claim, in all runs that have no own rule. p_sealed are the
-- credentials of the account that p_changes names, p_caller_ids its numbers with what is known of them.
CREATE OR REPLACE FUNCTION dialer.change_business_v1(
    p_business_id integer, p_changes jsonb, p_actor text, p_sealed text DEFAULT NULL, p_caller_ids jsonb DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    UPDATE dialer.businesses b
    SET name = coalesce(p_changes ->> 'name', b.name),
        caller_ids = coalesce(p_caller_ids, b.caller_ids),
        region = coalesce(p_changes ->> 'region', b.region),
        timezone = coalesce(p_changes ->> 'timezone', b.timezone),
        calling_hours = CASE WHEN p_changes ? 'calling_hours' THEN nullif(p_changes -> 'calling_hours', 'null')
                             ELSE b.calling_hours END,
        retries = CASE WHEN p_changes ? 'retries' THEN nullif(p_changes -> 'retries', 'null') ELSE b.retries END,
        min_gap_hours = CASE WHEN p_changes ? 'min_gap_hours' THEN coalesce((p_changes ->> 'min_gap_hours')::float8, 0)
                             ELSE b.min_gap_hours END,
        max_per_day = CASE WHEN p_changes ? 'max_per_day' THEN nullif((p_changes ->> 'max_per_day')::integer, 0)
                           ELSE b.max_per_day END,
        allowed_countries = CASE WHEN p_changes ? 'allowed_countries' THEN (
                                     SELECT array_agg(c.code ORDER BY c.code)
                                     FROM jsonb_array_elements_text(nullif(p_changes -> 'allowed_countries', 'null'))
                                         AS c (code))
                                 ELSE b.allowed_countries END,
        required_registers = coalesce(p_changes -> 'required_registers', b.required_registers),
        retention_days = CASE WHEN p_changes ? 'retention_days' THEN (p_changes ->> 'retention_days')::integer
                              ELSE b.retention_days END,
        script = CASE WHEN p_changes ? 'script' THEN nullif(p_changes -> 'script', 'null') ELSE b.script END,
        inbound_script = CASE WHEN p_changes ? 'inbound_script' THEN nullif(p_changes -> 'inbound_script', 'null')
                              ELSE b.inbound_script END
    WHERE b.business_id = p_business_id;
    IF p_changes ? 'provider_account' THEN
        PERFORM dialer.change_account_v1(p_business_id, nullif(p_changes -> 'provider_account', 'null'), p_sealed);
    END IF;
    IF p_changes ? 'max_calls' THEN
        PERFORM dialer.set_max_calls_v1(p_business_id, (p_changes ->> 'max_calls')::integer);
    END IF;
    IF p_changes ?| ARRAY['calling_hours', 'max_per_day'] THEN
        PERFORM dialer.reset_windows_v1(p_business_id, NULL);
    END IF;
    IF p_changes ?| ARRAY['min_gap_hours', 'max_per_day'] THEN
        -- Leads that were put off by the former rule are decided again. Found by their runs, which have an index.
        UPDATE dialer.retries q SET due_at = now()
        FROM public.outbound_call_runs r
        WHERE r.business_id = p_business_id AND r.status IN ('pending', 'running', 'paused')
          AND q.run_id = r.id AND q.business_id = r.business_id AND q.reason IN ('gap', 'daily_cap')
          AND q.due_at > now();
    END IF;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_actor, 'business.change', p_changes);
END
$$;
