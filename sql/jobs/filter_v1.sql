-- Whether a job is among those that a list or an operation on many leads is about. `wanted` holds `statuses`,
-- `outcomes`, and of a search `name` (a LIKE pattern), `lead_id` and `phones` (LIKE patterns), any of which is enough;
-- a key that is absent selects all. `status` is that of the job as it is shown.
CREATE OR REPLACE FUNCTION dialer.job_matches(job public.outbound_call_jobs, status text, wanted jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT (NOT wanted ? 'statuses' OR wanted -> 'statuses' ? status)
       AND (NOT wanted ? 'outcomes' OR coalesce(wanted -> 'outcomes' ? job.outcome, FALSE))
       AND (NOT wanted ? 'name' OR coalesce(job.lead_name ILIKE (wanted ->> 'name'), FALSE)
            OR coalesce(job.external_id, job.lead_id::text) = wanted ->> 'lead_id'
            OR coalesce(job.phone LIKE ANY (ARRAY(SELECT jsonb_array_elements_text(wanted -> 'phones'))), FALSE))
$$;
