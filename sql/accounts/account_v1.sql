-- Give a business the account in p_account (account_sid, credentials: of which kind, calls_per_second) with the
-- credentials p_sealed, or the default account when p_account is null. Without p_sealed only the pace of its present
-- account changes. The caller holds the lane, as the claim does: a later claim places its calls with the new account.
CREATE OR REPLACE FUNCTION dialer.change_account_v1(p_business_id integer, p_account jsonb, p_sealed text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    sid CONSTANT text := p_account ->> 'account_sid';
BEGIN
    IF sid IS NOT NULL AND p_sealed IS NULL THEN
        UPDATE dialer.provider_accounts a SET calls_per_second = (p_account ->> 'calls_per_second')::float8
        WHERE a.business_id = p_business_id AND a.account_sid = sid AND a.replaced_at IS NULL;
        RETURN;
    END IF;
    PERFORM dialer.keep_account_v1(p_business_id, sid, p_account ->> 'credentials', p_sealed,
                                   (p_account ->> 'calls_per_second')::float8);
    UPDATE dialer.businesses b SET account_sid = sid WHERE b.business_id = p_business_id;
END
$$;

-- Keep these as the present credentials of a business, or of the installation (business 0); p_sid NULL: it has none.
-- The former ones are kept too, of one account the last ones only: each is tried when a callback is verified.
CREATE OR REPLACE FUNCTION dialer.keep_account_v1(
    p_business_id integer, p_sid text, p_credentials text, p_sealed text, p_calls_per_second double precision)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    former_kept CONSTANT integer := 5;
    keeping CONSTANT bigint := 7417005;
BEGIN
    -- Processes that start together keep the same default account; of a business, the caller holds the lane.
    IF p_business_id = 0 THEN
        PERFORM pg_advisory_xact_lock(keeping);
    END IF;
    UPDATE dialer.provider_accounts a SET replaced_at = now()
    WHERE a.business_id = p_business_id AND a.replaced_at IS NULL;
    DELETE FROM dialer.provider_accounts a
    WHERE a.business_id = p_business_id AND a.account_sid = p_sid
      AND a.id <= (SELECT f.id FROM dialer.provider_accounts f
                   WHERE f.business_id = p_business_id AND f.account_sid = p_sid
                   ORDER BY f.id DESC OFFSET former_kept LIMIT 1);
    INSERT INTO dialer.provider_accounts (business_id, account_sid, credentials, sealed, calls_per_second)
    SELECT p_business_id, p_sid, p_credentials, p_sealed, p_calls_per_second WHERE p_sid IS NOT NULL;
END
$$;

-- The accounts of a business whose credentials are kept: account_sid, sealed (the newest first), calls_per_second, and
-- whether it is the present one.
CREATE OR REPLACE FUNCTION dialer.stored_accounts(p_business_id integer) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]')
    FROM (SELECT a.account_sid, array_agg(a.sealed ORDER BY a.id DESC) AS sealed,
                 max(a.calls_per_second) FILTER (WHERE a.replaced_at IS NULL) AS calls_per_second,
                 bool_or(a.replaced_at IS NULL) AS present
          FROM dialer.provider_accounts a WHERE a.business_id = p_business_id GROUP BY a.account_sid) s
$$;

-- Whether a call that was placed with this account may not be over; business 0: of any business.
CREATE OR REPLACE FUNCTION dialer.has_open_calls(p_business_id integer, p_sid text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM dialer.lanes l CROSS JOIN LATERAL unnest(l.inflight) AS i (id)
        JOIN dialer.attempts o ON o.id = i.id AND o.business_id = l.business_id
        WHERE p_business_id IN (0, l.business_id) AND o.account_sid = p_sid)
    OR EXISTS (
        SELECT FROM dialer.attempts o
        WHERE o.excess AND dialer.is_open(o.state) AND p_business_id IN (0, o.business_id) AND o.account_sid = p_sid)
    OR EXISTS (
        SELECT FROM dialer.call_sids c JOIN dialer.attempts o ON o.id = c.attempt_id AND o.business_id = c.business_id
        WHERE c.excess AND c.over_at IS NULL AND p_business_id IN (0, c.business_id) AND o.account_sid = p_sid)
$$;

-- Delete credentials a week after they were replaced, unless a call that was placed with their account is open and
-- there are no newer ones. The provider signs with a former token until the new one is promoted there, and a call
-- takes a day at most.
CREATE OR REPLACE FUNCTION dialer.forget_accounts_v1(p_limit integer) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM dialer.provider_accounts a USING (
        SELECT x.business_id, x.id FROM dialer.provider_accounts x
        WHERE x.replaced_at < now() - interval '7 days'
          AND (NOT dialer.has_open_calls(x.business_id, x.account_sid)
               OR EXISTS (SELECT FROM dialer.provider_accounts n
                          WHERE n.business_id = x.business_id AND n.account_sid = x.account_sid
                            AND n.replaced_at IS NULL))
        ORDER BY x.id LIMIT p_limit FOR UPDATE SKIP LOCKED) old
    WHERE a.business_id = old.business_id AND a.id = old.id
$$;
