-- name: lock
SELECT pg_try_advisory_xact_lock($1)

-- name: keep
SELECT set_config('idle_in_transaction_session_timeout', '0', TRUE)

-- name: limit
SELECT set_config('lock_timeout', '500ms', TRUE), set_config('statement_timeout', '0', TRUE),
       set_config('idle_in_transaction_session_timeout', '0', TRUE)

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS dialer

-- name: create_applied
CREATE TABLE IF NOT EXISTS dialer.schema_migrations (
    name        TEXT         PRIMARY KEY,
    kind        TEXT         NOT NULL,
    checksum    TEXT         NOT NULL,
    applied_at  TIMESTAMPTZ  NOT NULL DEFAULT now()
)

-- name: has_applied
SELECT to_regclass('dialer.schema_migrations') IS NOT NULL

-- name: applied
SELECT name, checksum FROM dialer.schema_migrations ORDER BY applied_at, name

-- name: locks_table
-- True when this transaction keeps others from writing a table that other programs use.
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
               JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
               WHERE l.pid = pg_backend_pid() AND l.granted
                 AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))

-- name: record
INSERT INTO dialer.schema_migrations (kind, name, checksum) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()
