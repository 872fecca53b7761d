-- name: limit
SELECT set_config('statement_timeout', $1, TRUE), set_config('lock_timeout', $1, TRUE)

-- name: version
SELECT (current_setting('server_version_num')::integer / 10000 < $1::integer)::integer AS found,
       current_setting('server_version') AS version

-- name: primary
SELECT (pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean)::integer AS found

-- name: durability
SELECT count(*)::integer AS found, string_agg(s.name, ', ') AS names
FROM unnest('{fsync,full_page_writes,synchronous_commit}'::text[]) AS s (name) WHERE current_setting(s.name) = 'off'

-- name: privileges
WITH needed AS (
    -- What the web process and the workers do, as role $1 or this one. Without functions of ours: it may lack them too.
    SELECT 'SCHEMA' AS kind, 'dialer' AS name, 'USAGE' AS privilege, n.oid
    FROM pg_namespace n WHERE n.nspname = 'dialer'
    UNION ALL
    SELECT 'TABLE', format('%I.%I', n.nspname, c.relname), p.privilege, c.oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN unnest(CASE
        -- The owner migrates, adopts an old application's tables, and erases a business.
        WHEN c.relname IN ('schema_migrations', 'legacy_archive', 'erasures', 'leads') THEN '{SELECT}'
        WHEN c.relname = 'audit_log' THEN '{SELECT,INSERT,UPDATE}'
        ELSE '{SELECT,INSERT,UPDATE,DELETE}' END::text[]) AS p (privilege)
    WHERE c.relkind IN ('r', 'p')
      AND (n.nspname = 'dialer' OR n.nspname = 'public' AND c.relname IN ('outbound_call_runs', 'outbound_call_jobs')
           OR c.oid = to_regclass('public.leads') AND EXISTS (
               SELECT FROM pg_trigger g
               WHERE g.tgrelid = to_regclass('public.outbound_call_jobs') AND NOT g.tgisinternal))
    UNION ALL
    SELECT 'SEQUENCE', format('%I.%I', n.nspname, c.relname), p.privilege, c.oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN unnest(CASE
        -- After a fail-over these are moved on: dialer.notice_timeline_v1.
        WHEN c.relname IN ('attempts_id_seq', 'outbox_id_seq') THEN '{USAGE,UPDATE}' ELSE '{USAGE}' END::text[])
        AS p (privilege)
    WHERE c.relkind = 'S'
      AND (n.nspname = 'dialer' OR n.nspname = 'public'
           AND c.relname IN ('outbound_call_runs_id_seq', 'outbound_call_jobs_id_seq'))
    UNION ALL
    SELECT 'FUNCTION', f.oid::regprocedure::text, 'EXECUTE', f.oid
    FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace WHERE n.nspname = 'dialer'
), role AS (
    SELECT coalesce($1::text, current_user)::name AS name
), missing AS (
    SELECT m.kind, m.name, string_agg(m.privilege, ', ') AS privileges FROM needed m CROSS JOIN role r
    WHERE NOT CASE m.kind WHEN 'SCHEMA' THEN has_schema_privilege(r.name, m.oid, m.privilege)
                          WHEN 'TABLE' THEN has_table_privilege(r.name, m.oid, m.privilege)
                          WHEN 'SEQUENCE' THEN has_sequence_privilege(r.name, m.oid, m.privilege)
                          ELSE has_function_privilege(r.name, m.oid, m.privilege) END
    GROUP BY m.kind, m.name
), granting AS (
    SELECT array_agg(format('GRANT %s ON %s %s TO %I', m.privileges, m.kind, m.name, r.name)
                     ORDER BY m.kind, m.name) AS statements
    FROM missing m CROSS JOIN role r
)
SELECT coalesce(cardinality(g.statements), 0) AS found, quote_ident(r.name) AS role,
       coalesce(g.statements, '{}') AS grants, array_to_string(g.statements[1:5], '; ') AS first_grants,
       (SELECT string_agg(m.privileges || ' on ' || m.name, ', ')
        FROM (SELECT * FROM missing x ORDER BY x.kind, x.name LIMIT 5) m) AS missing
FROM role r CROSS JOIN granting g

-- name: connections
WITH session AS (
    -- Those but this one. `program`: that of a process of ours.
    SELECT a.datname = current_database() AS of_database, a.usename = current_user AS of_role,
           CASE WHEN a.datname = current_database()
                     AND (a.application_name LIKE 'ringmaster web %' OR a.application_name LIKE 'ringmaster worker %')
                THEN a.application_name END AS program
    FROM pg_stat_activity a WHERE a.datname IS NOT NULL AND a.pid <> pg_backend_pid()
), named AS (
    -- A name is that of several processes when they have more connections than one may.
    SELECT ceil(count(*) / $1::numeric) AS processes, count(*) AS open
    FROM session s WHERE s.program IS NOT NULL GROUP BY s.program
), seen AS (
    SELECT coalesce(sum(n.processes), 0)::integer AS processes, coalesce(sum(n.open), 0)::integer AS open FROM named n
), allowed AS (
    -- What is left by the server, the database and the role, each without what others hold of it: the least counts.
    SELECT k.available, k.others
    FROM (SELECT current_setting('max_connections')::integer
                 - current_setting('superuser_reserved_connections')::integer
                 - coalesce(current_setting('reserved_connections', TRUE), '0')::integer AS available,
                 (SELECT count(*)::integer FROM session s WHERE s.program IS NULL) AS others
          UNION ALL
          SELECT nullif(d.datconnlimit, -1),
                 (SELECT count(*)::integer FROM session s WHERE s.program IS NULL AND s.of_database)
          FROM pg_database d WHERE d.datname = current_database()
          UNION ALL
          SELECT nullif(r.rolconnlimit, -1),
                 (SELECT count(*)::integer FROM session s WHERE s.program IS NULL AND s.of_role)
          FROM pg_roles r WHERE r.rolname = current_user) k
    WHERE k.available IS NOT NULL ORDER BY k.available - k.others LIMIT 1
)
-- `migrate` takes two besides. Behind a pooler the number of processes does not matter: what is open does.
SELECT (CASE WHEN $2::boolean THEN s.open ELSE s.processes * $1::integer + 2 END + a.others > a.available)::integer
       AS found,
       a.available, s.processes, a.others, s.open, $1::integer AS each, s.processes * $1::integer + 2 AS may_take,
       greatest((a.available - a.others - 2) / $1::integer - s.processes, 0) AS room
FROM seen s CROSS JOIN allowed a

-- name: workers
SELECT (count(*) FILTER (WHERE w.lease_until > now()) = 0)::integer AS found,
       count(*) FILTER (WHERE w.lease_until > now())::integer AS live,
       coalesce(to_char(max(w.lease_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"'), 'never') AS last
FROM dialer.workers w

-- name: partitions
SELECT
    -- NULL without a worker, which is said already; 0 while the workers that have just started divide them.
    CASE WHEN NOT EXISTS (SELECT FROM dialer.workers w WHERE w.lease_until > now()) THEN NULL
         WHEN NOT EXISTS (SELECT FROM dialer.workers w
                          WHERE w.lease_until > now()
                            AND w.started_at < now() - make_interval(secs => $1::float8)) THEN 0
         ELSE (SELECT count(*) FROM dialer.partitions p
               WHERE NOT EXISTS (SELECT FROM dialer.workers w
                                 WHERE w.incarnation = p.owner AND w.lease_until > now()))::integer END AS found

-- name: stale_runs
SELECT CASE WHEN EXISTS (SELECT FROM dialer.workers w WHERE w.lease_until > now()) THEN count(*)::integer END AS found,
       array_to_string((array_agg(format('run %s of business %s', r.id, r.business_id) ORDER BY r.id))[1:5], ', ')
       AS which
FROM public.outbound_call_runs r
WHERE r.status = 'running' AND NOT r.cancel_requested AND r.queued_count > 0 AND r.started_at IS NOT NULL
  AND coalesce(r.lock_ts, r.started_at) < dialer.utc() - make_interval(secs => $1::float8)

-- name: unclosed_runs
SELECT count(*)::integer AS found,
       array_to_string((array_agg(format('run %s of business %s', r.id, r.business_id) ORDER BY r.id))[1:5], ', ')
       AS which
FROM public.outbound_call_runs r
WHERE r.status = 'running' AND r.started_at IS NOT NULL AND r.in_progress_count = 0
  AND (r.queued_count = 0 OR r.cancel_requested)
  AND coalesce(r.updated_at, r.started_at) < dialer.utc() - make_interval(secs => $1::float8)

-- name: paused_runs
SELECT count(*)::integer AS found,
       array_to_string((array_agg(format('run %s of business %s (%s)', r.id, r.business_id,
                                         r.last_error_cause ->> 'kind') ORDER BY r.updated_at DESC))[1:5], ', ')
       AS which
-- That a budget is used up is what its business wants.
FROM public.outbound_call_runs r
WHERE r.status = 'paused' AND r.last_error_cause ->> 'kind' NOT LIKE 'budget%'
  AND r.updated_at > dialer.utc() - make_interval(secs => $1::float8)

-- name: stalled_businesses
SELECT count(*)::integer AS found,
       array_to_string((array_agg(format('%s (%s)', s.business_id, s.reason) ORDER BY s.since))[1:5], ', ') AS which
FROM dialer.stalls s WHERE s.reason <> 'paced' AND s.since < now() - make_interval(secs => $1::float8)

-- name: stuck_attempts
SELECT count(*)::integer AS found,
       array_to_string((array_agg(format('attempt %s of business %s', a.id, a.business_id) ORDER BY a.id))[1:5], ', ')
       AS which
FROM dialer.lanes l JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
WHERE a.state <> 'unknown' AND dialer.is_open(a.state)
  AND a.send_by < now() - make_interval(secs => a.ring_seconds + $1::float8)

-- name: unknown_attempts
SELECT count(*)::integer AS found,
       array_to_string((array_agg(format('job %s in run %s of business %s', a.job_id, a.run_id, a.business_id)
                                  ORDER BY a.id))[1:5], ', ') AS which
FROM dialer.lanes l JOIN dialer.attempts a ON a.id = ANY (l.inflight) AND a.business_id = l.business_id
WHERE a.state = 'unknown' AND a.send_by < now() - make_interval(secs => $1::float8)

-- name: excess_calls
SELECT count(*)::integer AS found, array_to_string((array_agg(k.sid ORDER BY k.seen_at))[1:5], ', ') AS which
FROM dialer.call_sids k
WHERE k.excess AND k.over_at IS NULL AND k.seen_at < now() - make_interval(secs => $1::float8)

-- name: commands
SELECT count(*)::integer AS found,
       coalesce(extract(epoch FROM now() - min(x.received_at)), 0)::integer AS oldest
FROM dialer.inbox x WHERE x.applied_at IS NULL AND x.received_at < now() - make_interval(secs => $1::float8)

-- name: events
SELECT count(*)::integer AS found, coalesce(extract(epoch FROM now() - min(o.at)), 0)::integer AS oldest
FROM dialer.outbox o WHERE o.at < now() - make_interval(secs => $1::float8)

-- name: deliveries
SELECT count(*)::integer AS found, coalesce(extract(epoch FROM now() - min(d.created_at)) / 60, 0)::integer AS oldest,
       array_to_string((array_agg(DISTINCT d.business_id ORDER BY d.business_id))[1:5], ', ') AS which
FROM dialer.deliveries d WHERE d.status = 'pending' AND d.created_at < now() - make_interval(secs => $1::float8)

-- name: webhooks
SELECT count(*)::integer AS found,
       array_to_string((array_agg(format('webhook %s of business %s', h.webhook_id, h.business_id)
                                  ORDER BY h.webhook_id))[1:5], ', ') AS which
FROM dialer.webhooks h WHERE h.disabled_at IS NOT NULL AND h.deleted_at IS NULL

-- name: hidden_sessions
SELECT CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN 0 ELSE count(*)::integer END AS found,
       quote_ident(current_user) AS role, string_agg(DISTINCT a.usename, ', ') AS which
FROM pg_stat_activity a WHERE a.datname = current_database() AND a.usename <> current_user

-- name: transactions
SELECT count(*)::integer AS found, coalesce(max(t.seconds), 0)::integer AS oldest,
       array_to_string((array_agg(t.who ORDER BY t.seconds DESC))[1:5], ', ') AS which
FROM (SELECT format('pid %s (%s)', a.pid, coalesce(nullif(a.application_name, ''), a.usename)) AS who,
             extract(epoch FROM clock_timestamp() - a.xact_start) AS seconds
      FROM pg_stat_activity a
      WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
      UNION ALL
      SELECT format('prepared transaction %s', p.gid), extract(epoch FROM clock_timestamp() - p.prepared)
      FROM pg_prepared_xacts p WHERE p.database = current_database()) t
WHERE t.seconds > $1::float8

-- name: locks
SELECT count(*)::integer AS found,
       coalesce(max(extract(epoch FROM clock_timestamp() - k.waitstart)), 0)::integer AS oldest,
       array_to_string((array_agg(DISTINCT (pg_blocking_pids(k.pid))[1]))[1:5], ', ') AS holders
FROM pg_locks k
WHERE NOT k.granted AND k.waitstart < clock_timestamp() - make_interval(secs => $1::float8)
  AND (k.database IS NULL OR k.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))

-- name: row_locks
SELECT count(*)::integer AS found, coalesce(max(r.seconds), 0)::integer AS oldest,
       array_to_string((array_agg(format('pid %s (%s)', r.pid, r.program) ORDER BY r.seconds DESC))[1:5], ', ') AS which
-- A claim passes over rows that another transaction has locked, and facts wait for them. Ours are short.
FROM dialer.row_locks_v1() r WHERE r.seconds > $1::float8

-- name: callbacks
WITH ended AS (
    -- Of the newest calls; the end of one without any callback was learnt by asking. A request for a script, which is
    -- kept with the callbacks, has no sequence number.
    SELECT EXISTS (SELECT FROM dialer.callbacks c
                   WHERE c.attempt_id = a.id AND c.business_id = a.business_id
                     AND c.fields ? 'SequenceNumber') AS heard
    FROM (SELECT t.* FROM dialer.attempts t ORDER BY t.id DESC LIMIT 500) a
    WHERE a.state = 'over' AND a.sid IS NOT NULL AND a.ended_at > now() - make_interval(secs => $1::float8)
)
SELECT CASE WHEN count(*) >= 5 AND 2 * count(*) FILTER (WHERE NOT e.heard) >= count(*)
            THEN count(*) FILTER (WHERE NOT e.heard) ELSE 0 END::integer AS found, count(*)::integer AS calls
FROM ended e

-- name: stopped
SELECT (i.stopped_at IS NOT NULL)::integer AS found, coalesce(i.stopped_by, '') AS by,
       coalesce(i.stop_reason, '') AS why
FROM dialer.installation i

-- name: stopped_businesses
SELECT count(*)::integer AS found,
       array_to_string((array_agg(b.business_id ORDER BY b.business_id))[1:5], ', ') AS which
FROM dialer.businesses b WHERE b.stopped_at IS NOT NULL

-- name: calling_hours
SELECT count(*)::integer AS found,
       array_to_string((array_agg(b.business_id ORDER BY b.business_id))[1:5], ', ') AS which
FROM dialer.businesses b WHERE b.calling_hours IS NULL

-- name: call_limits
SELECT count(*)::integer AS found,
       array_to_string((array_agg(b.business_id ORDER BY b.business_id))[1:5], ', ') AS which
FROM dialer.businesses b WHERE b.max_per_day IS NULL AND b.min_gap_hours = 0

-- name: registers
WITH required AS (
    -- A register is required for so many days; one that is not required, for those of the regulations.
    SELECT b.business_id, r.name, r.max_age_days
    FROM dialer.businesses b
    CROSS JOIN LATERAL jsonb_to_recordset(b.required_registers) AS r (name text, max_age_days integer)
), old AS (
    SELECT r.business_id, r.name FROM required r
    LEFT JOIN dialer.registers g ON g.business_id = r.business_id AND g.name = r.name AND g.current
    WHERE g.imported_at IS NULL OR g.imported_at < now() - make_interval(days => r.max_age_days)
    UNION
    SELECT g.business_id, g.name FROM dialer.registers g
    WHERE g.current AND g.imported_at < now() - make_interval(days => $1::integer)
      AND NOT EXISTS (SELECT FROM required r WHERE r.business_id = g.business_id AND r.name = g.name)
)
SELECT count(*)::integer AS found,
       array_to_string((array_agg(format('%s of business %s', o.name, o.business_id)
                                  ORDER BY o.business_id, o.name))[1:5], ', ') AS which
FROM old o

-- name: sequences
WITH owned AS (
    -- The statement to run in place of this one: it searches each column for its largest value. Columns without an
    -- index of their own are left out.
    SELECT s.oid AS sequence, a.attrelid::regclass AS owner, a.attname,
           least(q.seqmax, CASE a.atttypid WHEN 'integer'::regtype THEN 2147483647 WHEN 'smallint'::regtype THEN 32767
                                           ELSE 9223372036854775807 END) AS bound
    FROM pg_class s
    JOIN pg_sequence q ON q.seqrelid = s.oid
    JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
         AND d.deptype IN ('a', 'i')
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    JOIN pg_class t ON t.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE (n.nspname = 'dialer' OR n.nspname = 'public' AND t.relname IN ('outbound_call_runs', 'outbound_call_jobs'))
      AND CASE WHEN s.relkind = 'S' THEN has_sequence_privilege(s.oid, 'USAGE') END
      AND EXISTS (SELECT FROM pg_index i
                  WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indpred IS NULL)
)
SELECT format($$SELECT count(*)::integer AS found, array_to_string((array_agg(c.name))[1:5], ', ') AS which,
                       min(c.remedy) AS remedy
                FROM (%s) c WHERE CASE %L WHEN 'behind' THEN c.used > c.last ELSE c.last > c.bound * 0.8 END$$,
              -- The last number is read by that statement, so after the rows that it sees were numbered. A number
              -- beyond the largest is set with room: rows are numbered meanwhile.
              string_agg(format('SELECT %L AS name, coalesce(pg_sequence_last_value(%s), 0) AS last, '
                                '%s::bigint AS bound, max(%I) AS used, %L AS remedy FROM %s',
                                format('%s.%s', o.owner, o.attname), o.sequence::oid, o.bound, o.attname,
                                format('as the owner of the table: SELECT setval(%L, greatest(max(%I), '
                                       'pg_sequence_last_value(%L::regclass)) + 1000) FROM %s',
                                       o.sequence::regclass, o.attname, o.sequence::regclass, o.owner),
                                o.owner), ' UNION ALL '), $1::text) AS statement
FROM owned o HAVING count(*) > 0

-- name: counters
WITH newest AS (
    -- The newest runs, as long as they have no more than so many leads together.
    SELECT r.* FROM public.outbound_call_runs r WHERE r.started_at IS NOT NULL ORDER BY r.id DESC LIMIT $1::integer
), sample AS (
    SELECT s.* FROM (SELECT n.*, sum(n.total_leads) OVER (ORDER BY n.id DESC) AS leads FROM newest n) s
    WHERE s.leads <= $2::bigint
), counted AS (
    SELECT s.id, s.business_id,
           (s.queued_count, s.in_progress_count, s.completed_count, s.failed_count, s.cancelled_count, s.skipped_count)
           IS DISTINCT FROM
           (count(*) FILTER (WHERE j.status = 'queued' AND NOT s.cancel_requested)::integer,
            count(*) FILTER (WHERE j.status IN ('dialing', 'calling'))::integer,
            count(*) FILTER (WHERE j.status = 'completed')::integer,
            count(*) FILTER (WHERE j.status = 'failed')::integer,
            count(*) FILTER (WHERE j.status = 'cancelled' OR j.status = 'queued' AND s.cancel_requested)::integer,
            count(*) FILTER (WHERE j.status = 'skipped')::integer) AS wrong
    FROM sample s LEFT JOIN public.outbound_call_jobs j ON j.run_id = s.id AND j.business_id = s.business_id
    GROUP BY s.id, s.business_id, s.queued_count, s.in_progress_count, s.completed_count, s.failed_count,
             s.cancelled_count, s.skipped_count, s.cancel_requested
)
SELECT count(*) FILTER (WHERE c.wrong)::integer AS found, count(*)::integer AS counted,
       (SELECT count(*) FROM public.outbound_call_runs r WHERE r.started_at IS NOT NULL)::integer AS runs,
       array_to_string((array_agg(format('run %s of business %s', c.id, c.business_id) ORDER BY c.id)
                        FILTER (WHERE c.wrong))[1:5], ', ') AS which
FROM counted c

-- name: lost_jobs
WITH newest AS (
    -- In progress, and no open attempt works on them.
    SELECT r.id, r.business_id, r.total_leads FROM public.outbound_call_runs r
    WHERE r.in_progress_count > 0 AND r.started_at IS NOT NULL ORDER BY r.id DESC LIMIT $1::integer
), sample AS (
    SELECT s.id, s.business_id
    FROM (SELECT n.*, sum(n.total_leads) OVER (ORDER BY n.id DESC) AS leads FROM newest n) s WHERE s.leads <= $2::bigint
)
SELECT count(*)::integer AS found, (SELECT count(*) FROM sample)::integer AS counted,
       array_to_string((array_agg(format('job %s in run %s of business %s', j.id, j.run_id, j.business_id)
                                  ORDER BY j.id))[1:5], ', ') AS which
FROM sample s JOIN public.outbound_call_jobs j ON j.run_id = s.id AND j.business_id = s.business_id
WHERE j.status IN ('dialing', 'calling')
  AND NOT EXISTS (SELECT FROM dialer.attempts a
                  WHERE a.id = j.attempt_id AND a.business_id = j.business_id AND dialer.is_open(a.state))

-- name: lanes
SELECT
    -- Slots without an open attempt, and open attempts of the last two hours without a slot.
    count(*)::integer AS found,
       array_to_string((array_agg(l.business_id ORDER BY l.business_id))[1:5], ', ') AS which
FROM dialer.lanes l
WHERE EXISTS (SELECT FROM unnest(l.inflight) AS held (id)
              WHERE NOT EXISTS (SELECT FROM dialer.attempts a
                                WHERE a.id = held.id AND a.business_id = l.business_id AND dialer.is_open(a.state)))
   OR EXISTS (SELECT FROM dialer.attempts a
              WHERE a.business_id = l.business_id AND a.created_at > now() - interval '2 hours'
                AND dialer.is_open(a.state) AND NOT a.excess AND a.id <> ALL (l.inflight))

-- name: bloat
SELECT count(*)::integer AS found,
       array_to_string((array_agg(format('%s.%s (%s %% of its rows)', s.schemaname, s.relname,
                                         100 * s.n_dead_tup / (s.n_live_tup + s.n_dead_tup))
                                  ORDER BY s.n_dead_tup DESC))[1:5], ', ') AS which,
       (array_agg(format('VACUUM (VERBOSE) %I.%I', s.schemaname, s.relname) ORDER BY s.n_dead_tup DESC))[1] AS remedy
FROM pg_stat_user_tables s
WHERE (s.schemaname = 'dialer' OR s.relname IN ('outbound_call_runs', 'outbound_call_jobs'))
  AND s.n_dead_tup > $1::integer AND s.n_dead_tup > (s.n_live_tup + s.n_dead_tup) * $2::float8

-- name: clock
SELECT extract(epoch FROM clock_timestamp())::float8 AS at

-- name: accounts
SELECT
    -- Those that call with an account of their own, and (NULL) with that of the settings: with its numbers.
    min(b.business_id) AS business_id, b.account_sid, count(DISTINCT b.business_id)::integer AS businesses,
       array_agg(DISTINCT n.number) AS numbers
FROM dialer.businesses b CROSS JOIN LATERAL unnest(dialer.numbers_of(b.caller_ids)) AS n (number)
GROUP BY b.account_sid ORDER BY b.account_sid NULLS FIRST LIMIT $1::integer
