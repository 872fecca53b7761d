-- Rows that the old application writes: what their columns mean, and what they lack.

-- The places in a run of leads whose numbers have not been read yet begin here: dialer.complete_run_v1 gives them
-- places below. By its place such a lead is found with the index of a run's places.
CREATE OR REPLACE FUNCTION dialer.unread_from() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 1000000000 $$;

-- The place of a lead that the old application has inserted: unique within a run, whose rows are no billion ids apart.
CREATE OR REPLACE FUNCTION dialer.unread_position(p_job_id bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (1000000000 + p_job_id % 1000000000)::integer $$;

-- The status of a job as a word of ours. A lead that may have been called is never queued: with a sid it was called,
-- with a token, a time of dialling or a word that nobody knows it is in doubt.
CREATE OR REPLACE FUNCTION dialer.status_of_old_job(job public.outbound_call_jobs) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN job.status IN ('dialing', 'calling', 'completed', 'failed', 'cancelled', 'skipped') THEN job.status
        WHEN job.attempt_id IS NOT NULL THEN coalesce(job.status, 'queued')
        WHEN coalesce(nullif(job.twilio_call_sid, ''), nullif(job.call_sid, '')) IS NOT NULL THEN 'calling'
        WHEN nullif(job.dial_lock_token, '') IS NOT NULL OR job.dial_started_at IS NOT NULL THEN 'dialing'
        WHEN coalesce(job.status, '') IN ('', 'queued') THEN 'queued'
        ELSE 'dialing' END
$$;

-- Fill what the old application does not know of. Our own rows have all of it, and do not come here.
CREATE OR REPLACE FUNCTION dialer.fill_old_job() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.business_id := coalesce(NEW.business_id,
                                (SELECT r.business_id FROM public.outbound_call_runs r WHERE r.id = NEW.run_id));
    NEW.position := coalesce(NEW.position, dialer.unread_position(NEW.id));
    NEW.status := coalesce(NEW.status, 'queued');
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER fill_old_job BEFORE INSERT ON public.outbound_call_jobs
    FOR EACH ROW WHEN (NEW.business_id IS NULL OR NEW.position IS NULL) EXECUTE FUNCTION dialer.fill_old_job();
