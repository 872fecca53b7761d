-- once
-- Reads every row under a lock that keeps nobody from writing.
DO $$
DECLARE
    unproven record;
BEGIN
    FOR unproven IN SELECT c.conname FROM pg_constraint c
                    WHERE c.conrelid = 'public.outbound_call_jobs'::regclass AND NOT c.convalidated LOOP
        EXECUTE format('ALTER TABLE public.outbound_call_jobs VALIDATE CONSTRAINT %I', unproven.conname);
    END LOOP;
END
$$;
