-- Drop what is kept no longer, at most p_limit rows of each kind: commands whose time to be remembered has passed, and callbacks after
-- 90 days. Attempts stay: they are the record of who was called.
CREATE OR REPLACE FUNCTION dialer.forget_v1(p_limit integer) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM dialer.inbox i USING (
        SELECT x.business_id, x.id FROM dialer.inbox x WHERE x.expires_at < now() ORDER BY x.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED) old
    WHERE i.business_id = old.business_id AND i.id = old.id;
    -- Their ids grow with time, so the oldest stand at the beginning of the key.
    DELETE FROM dialer.callbacks c USING (
        SELECT x.id, x.received_at FROM dialer.callbacks x ORDER BY x.id LIMIT p_limit FOR UPDATE SKIP LOCKED) old
    WHERE c.id = old.id AND old.received_at < now() - interval '90 days';
$$;
