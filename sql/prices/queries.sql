-- name: currencies
SELECT DISTINCT p.currency FROM dialer.prices p ORDER BY p.currency

-- name: table
SELECT p.prefix, p.minute_price FROM dialer.prices p WHERE p.currency = $1

-- Two imports at once follow one another; readers do not wait.
-- name: lock
SELECT pg_advisory_xact_lock(hashtext('dialer.prices'))

-- name: delete
DELETE FROM dialer.prices p WHERE p.currency = $1

-- name: insert
INSERT INTO dialer.prices (prefix, minute_price, currency)
SELECT t.prefix, t.minute_price, $3 FROM unnest($1::text[], $2::numeric[]) AS t (prefix, minute_price)

-- Business 0 is the installation.
-- name: audit
INSERT INTO dialer.audit_log (business_id, actor, action, detail, address)
VALUES (0, $1, 'prices.import', jsonb_build_object('currency', $2::text, 'prefixes', $3::integer), $4)
