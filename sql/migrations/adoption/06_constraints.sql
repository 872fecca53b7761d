-- once
-- Declared without reading the rows, which 07_valid.sql does without keeping the old application waiting. Leads come
-- over HTTP too, and deleting one must work: no key of jobs names them any more.
DO $$
DECLARE
    key record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = 'public.outbound_call_jobs'::regclass
                   AND c.conname = 'unique_run_lead') THEN
        ALTER TABLE public.outbound_call_jobs ADD CONSTRAINT unique_run_lead UNIQUE USING INDEX unique_run_lead;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = 'public.outbound_call_jobs'::regclass
                   AND c.conname = 'outbound_call_jobs_position') THEN
        ALTER TABLE public.outbound_call_jobs ADD CONSTRAINT outbound_call_jobs_position
            UNIQUE USING INDEX outbound_call_jobs_position;
    END IF;
    FOR key IN SELECT c.conname FROM pg_constraint c
               WHERE c.conrelid = 'public.outbound_call_jobs'::regclass AND c.contype = 'f'
                 AND c.confrelid = 'public.leads'::regclass LOOP
        EXECUTE format('ALTER TABLE public.outbound_call_jobs DROP CONSTRAINT %I', key.conname);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = 'public.outbound_call_jobs'::regclass
                   AND c.contype = 'f' AND c.confrelid = 'public.outbound_call_runs'::regclass) THEN
        ALTER TABLE public.outbound_call_jobs ADD CONSTRAINT outbound_call_jobs_run_id_fkey
            FOREIGN KEY (run_id) REFERENCES public.outbound_call_runs (id) NOT VALID;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = 'public.outbound_call_jobs'::regclass
                   AND c.conname = 'outbound_call_jobs_filled') THEN
        ALTER TABLE public.outbound_call_jobs ADD CONSTRAINT outbound_call_jobs_filled
            CHECK (run_id IS NOT NULL AND lead_id IS NOT NULL AND business_id IS NOT NULL) NOT VALID;
    END IF;
END
$$;
