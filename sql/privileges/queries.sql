-- name: later
SELECT array_agg(format('ALTER DEFAULT PRIVILEGES IN SCHEMA dialer GRANT %s TO %I', g.what, $1::text))
FROM unnest('{"SELECT, INSERT, UPDATE, DELETE ON TABLES",USAGE ON SEQUENCES,EXECUTE ON FUNCTIONS}'::text[]) AS g (what)
