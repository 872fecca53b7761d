-- Whether a job is among those that a list or an operation on many leads is about: with one of these statuses, as they
-- are shown, one of these outcomes, and found by a search: by its name (a LIKE pattern), its lead id or its phone (LIKE
-- patterns), any of which is enough. NULL selects all. The planner inlines it: keep it one expression without a
-- subquery.
CREATE OR REPLACE FUNCTION dialer.job_matches(
    status text, outcome text, name text, lead_id text, phone text, statuses text[], outcomes text[], name_like text,
    lead_id_is text, phones_like text[])
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (statuses IS NULL OR status = ANY (statuses))
       -- A lead that has had no call with an outcome is one of 'none'.
       AND (outcomes IS NULL OR coalesce(outcome, 'none') = ANY (outcomes))
       AND (name_like IS NULL OR coalesce(name ILIKE name_like, FALSE) OR coalesce(lead_id = lead_id_is, FALSE)
            OR coalesce(phone LIKE ANY (phones_like), FALSE))
$$;
