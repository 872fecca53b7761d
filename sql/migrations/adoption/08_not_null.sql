-- once
-- Proven by the constraint: no row is read. It has done its part then.
ALTER TABLE public.outbound_call_jobs
    ALTER COLUMN run_id SET NOT NULL, ALTER COLUMN lead_id SET NOT NULL, ALTER COLUMN business_id SET NOT NULL;
ALTER TABLE public.outbound_call_jobs DROP CONSTRAINT IF EXISTS outbound_call_jobs_filled;
