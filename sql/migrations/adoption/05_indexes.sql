-- alone, each statement
-- Built while the old application writes. One whose building was interrupted is invalid, and is built anew. The jobs of
-- a business lie together, run by run: for these a BRIN index is enough, and costs a call nothing.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS unique_run_lead ON public.outbound_call_jobs (run_id, lead_id);
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS outbound_call_jobs_position ON public.outbound_call_jobs
    (run_id, position);
CREATE INDEX CONCURRENTLY IF NOT EXISTS outbound_call_jobs_by_business ON public.outbound_call_jobs
    USING brin (business_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS outbound_call_runs_by_business ON public.outbound_call_runs (business_id, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS outbound_call_runs_running ON public.outbound_call_runs (business_id)
    WHERE status = 'running';
CREATE INDEX CONCURRENTLY IF NOT EXISTS outbound_call_runs_scheduled ON public.outbound_call_runs (schedule_at)
    WHERE status = 'pending' AND schedule_at IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS outbound_call_runs_flagged ON public.outbound_call_runs (id)
    WHERE cancel_requested AND cancel_requested_at IS NULL AND ended_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS outbound_call_runs_to_rewrite ON public.outbound_call_runs (id)
    WHERE rewrite_pending;
ANALYZE public.outbound_call_jobs, public.outbound_call_runs;
