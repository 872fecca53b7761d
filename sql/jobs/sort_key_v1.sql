-- The place of a job in a list sorted by name, phone, outcome, length, calls or last (its last call); `-name` and so on
-- the other way round. Order by (is_empty, up, down DESC, number, position): a job without a value is last both ways.
-- Outcomes come in the order of the pages: on the line, a person, a machine, why nobody was reached, not called. The
-- planner inlines it: keep it one SELECT.
CREATE OR REPLACE FUNCTION dialer.sort_key(
    sort text, name text, phone text, status text, outcome text, seconds integer, calls integer, called_at timestamp)
RETURNS TABLE (is_empty boolean, up text, down text, number double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT k.word IS NULL AND k.amount IS NULL,
           CASE WHEN sort LIKE '-%' THEN '' ELSE coalesce(k.word, '') END,
           CASE WHEN sort LIKE '-%' THEN coalesce(k.word, '') ELSE '' END,
           CASE WHEN sort LIKE '-%' THEN -coalesce(k.amount, 0) ELSE coalesce(k.amount, 0) END
    FROM (SELECT CASE ltrim(sort, '-') WHEN 'name' THEN lower(nullif(name, '')) WHEN 'phone' THEN phone END AS word,
                 (CASE ltrim(sort, '-')
                  WHEN 'outcome' THEN
                      CASE WHEN status IN ('dialing', 'calling') THEN 0
                           ELSE coalesce(
                               array_position(ARRAY['human', 'answered', 'machine', 'fax', 'no-answer', 'busy',
                                                    'failed', 'refused', 'lost', 'canceled'], outcome),
                               20 + array_position(ARRAY['queued', 'cancelled', 'skipped'], status), 30) END
                  WHEN 'length' THEN seconds
                  WHEN 'calls' THEN nullif(calls, 0)
                  WHEN 'last' THEN extract(epoch FROM called_at) END)::float8 AS amount) k
$$;

-- Whether a job with the sort key (is_empty, up, down, number) at `position` comes after another one.
CREATE OR REPLACE FUNCTION dialer.sorts_after(
    is_empty boolean, up text, down text, number double precision, "position" integer,
    other_is_empty boolean, other_up text, other_down text, other_number double precision, other_position integer)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (is_empty, up) > (other_is_empty, other_up)
           OR (is_empty, up) = (other_is_empty, other_up)
              AND (down < other_down OR down = other_down AND (number, "position") > (other_number, other_position))
$$;
