-- The rules of calling of a business, for its runs without their own.
CREATE OR REPLACE FUNCTION dialer.rules_of(p_business_id integer) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('calling_hours', b.calling_hours, 'retries', b.retries, 'min_gap_hours', b.min_gap_hours,
                              'max_per_day', b.max_per_day, 'script', b.script,
                              'caller_ids', dialer.numbers_of(b.caller_ids))
    FROM dialer.businesses b WHERE b.business_id = p_business_id
$$;

-- Change a run: p_changes has the columns name, concurrency, priority, schedule_at and archived, and under `settings`
-- what is to be kept as given. p_loosens names the rules of the business that the run then loosens, for the audit log.
-- Returns the partition of its business and a code, empty on success: not_found, or invalid_state for a run that has
-- ended (which may still be archived), is being cancelled, or has been started and cannot be scheduled any more, or
-- cannot be yet, since an operation is still filling it; or currency, when its calls have been counted in another one.
CREATE OR REPLACE FUNCTION dialer.change_run_settings_v1(
    p_business_id integer, p_run_id integer, p_changes jsonb, p_actor text, p_loosens text[])
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    lane dialer.lanes;
    run public.outbound_call_runs;
BEGIN
    SELECT * INTO lane FROM dialer.lanes l WHERE l.business_id = p_business_id FOR NO KEY UPDATE;
    SELECT * INTO run FROM public.outbound_call_runs r
    WHERE r.id = p_run_id AND r.business_id = p_business_id FOR NO KEY UPDATE;
    IF run.id IS NULL THEN
        RETURN jsonb_build_object('code', 'not_found');
    ELSIF (run.status IN ('completed', 'cancelled', 'stopped', 'failed') OR run.cancel_requested)
        AND p_changes - 'archived' - 'settings' || coalesce(p_changes -> 'settings', '{}') <> '{}'
        OR p_changes ? 'schedule_at'
            AND (run.status <> 'pending' OR dialer.is_being_filled(p_business_id, p_run_id)) THEN
        RETURN jsonb_build_object('code', 'invalid_state');
    ELSIF p_changes -> 'settings' -> 'budget' ->> 'currency' <> run.spent_currency THEN
        RETURN jsonb_build_object('code', 'currency', 'currency', run.spent_currency);
    END IF;
    UPDATE public.outbound_call_runs r
    SET name = CASE WHEN p_changes ? 'name' THEN p_changes ->> 'name' ELSE r.name END,
        concurrency = coalesce((p_changes ->> 'concurrency')::integer, r.concurrency),
        priority = coalesce((p_changes ->> 'priority')::smallint, r.priority),
        schedule_at = CASE WHEN p_changes ? 'schedule_at'
                           THEN (p_changes ->> 'schedule_at')::timestamptz AT TIME ZONE 'UTC' ELSE r.schedule_at END,
        archived_at = CASE (p_changes ->> 'archived')::boolean
                          WHEN TRUE THEN coalesce(r.archived_at, dialer.utc()) WHEN FALSE THEN NULL
                          ELSE r.archived_at END,
        settings = r.settings || coalesce(p_changes -> 'settings', '{}'), updated_at = dialer.utc()
    WHERE r.id = p_run_id AND r.business_id = p_business_id;
    IF p_changes -> 'settings' ? 'calling_hours' THEN
        PERFORM dialer.reset_windows_v1(p_business_id, p_run_id);
    END IF;
    INSERT INTO dialer.audit_log (business_id, actor, action, run_id, detail)
    VALUES (p_business_id, p_actor, 'run.change', p_run_id,
            p_changes || jsonb_build_object('loosens', to_jsonb(p_loosens)));
    RETURN jsonb_build_object('code', '', 'partition', lane.partition);
END
$$;
