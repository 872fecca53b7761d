-- Transactions of other sessions that keep rows of calls locked, with their age: of lanes and attempts whatever they
-- do, of jobs and runs when they do nothing meanwhile, since loading a list takes as long as the list is.
CREATE OR REPLACE FUNCTION dialer.row_locks_v1()
RETURNS TABLE (pid integer, program text, seconds double precision) LANGUAGE sql STABLE AS $$
    SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename),
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
      AND a.xact_start IS NOT NULL
      AND EXISTS (
          SELECT FROM pg_locks k
          WHERE k.pid = a.pid AND k.locktype = 'relation' AND k.granted
            AND k.mode NOT IN ('AccessShareLock', 'ShareUpdateExclusiveLock')
            AND (k.relation IN ('dialer.lanes'::regclass, 'dialer.attempts'::regclass)
                 OR a.state LIKE 'idle in transaction%'
                    AND k.relation IN ('public.outbound_call_jobs'::regclass, 'public.outbound_call_runs'::regclass)))
$$;
