-- Delete expired commands, callbacks after 90 days, operations 30 days after their end, test calls after 7 days,
-- drafts 2 days after they were last changed, replaced credentials of accounts, proofs of erased calls that need not be
-- kept any longer, and the numbers of a do-not-call register that has been replaced, at most p_limit rows of each.
-- Returns the largest of the counts of commands, callbacks and numbers: p_limit means that there is more to delete.
-- Only rows to be deleted are locked: locking a row that stays would be a write too. Attempts are kept: they are the
-- record of who was called.
CREATE OR REPLACE FUNCTION dialer.forget_v1(p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    commands integer;
    callbacks integer;
BEGIN
    DELETE FROM dialer.inbox i USING (
        SELECT x.business_id, x.id FROM dialer.inbox x WHERE x.expires_at < now()
        ORDER BY x.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED) old
    WHERE i.business_id = old.business_id AND i.id = old.id;
    GET DIAGNOSTICS commands = ROW_COUNT;
    -- Ids grow with time, so the oldest callbacks are at the start of the index.
    DELETE FROM dialer.callbacks c USING (
        SELECT x.id FROM (SELECT o.id, o.received_at FROM dialer.callbacks o ORDER BY o.id LIMIT p_limit) oldest
        JOIN dialer.callbacks x ON x.id = oldest.id
        WHERE oldest.received_at < now() - interval '90 days' FOR UPDATE OF x SKIP LOCKED) old
    WHERE c.id = old.id;
    GET DIAGNOSTICS callbacks = ROW_COUNT;
    DELETE FROM dialer.operations o USING (
        SELECT x.operation_id FROM (SELECT y.operation_id, y.ended_at FROM dialer.operations y
                                    ORDER BY y.operation_id LIMIT p_limit) oldest
        JOIN dialer.operations x ON x.operation_id = oldest.operation_id
        WHERE oldest.ended_at < now() - interval '30 days' FOR UPDATE OF x SKIP LOCKED) old
    WHERE o.operation_id = old.operation_id;
    DELETE FROM dialer.test_calls c USING (
        SELECT x.business_id, x.id FROM dialer.test_calls x WHERE x.created_at < now() - interval '7 days'
        ORDER BY x.created_at LIMIT p_limit FOR UPDATE SKIP LOCKED) old
    WHERE c.business_id = old.business_id AND c.id = old.id;
    DELETE FROM dialer.drafts d USING (
        SELECT x.business_id, x.draft_id FROM dialer.drafts x WHERE x.touched_at < now() - interval '2 days'
        ORDER BY x.touched_at LIMIT p_limit FOR UPDATE SKIP LOCKED) old
    WHERE d.business_id = old.business_id AND d.draft_id = old.draft_id;
    DELETE FROM dialer.proofs f USING (
        SELECT x.business_id, x.proof_id FROM dialer.proofs x WHERE x.kept_until < now()
        ORDER BY x.kept_until LIMIT p_limit FOR UPDATE SKIP LOCKED) old
    WHERE f.business_id = old.business_id AND f.proof_id = old.proof_id;
    PERFORM dialer.forget_accounts_v1(p_limit);
    RETURN greatest(commands, callbacks, dialer.forget_register_v1(p_limit));
END
$$;
