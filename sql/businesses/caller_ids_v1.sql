-- The numbers of stored caller ids, in their order.
CREATE OR REPLACE FUNCTION dialer.numbers_of(p_caller_ids jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(c.id ->> 'number' ORDER BY c.n)
    FROM jsonb_array_elements(p_caller_ids) WITH ORDINALITY AS c (id, n)
$$;

-- The caller id of all calls of a run; NULL when it depends on the call: see caller_id_for.
CREATE OR REPLACE FUNCTION dialer.only_caller_id(p_caller_ids jsonb, p_settings jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_array_length(p_caller_ids) = 1 OR NOT p_settings ?| ARRAY['caller_ids', 'caller_id_choice']
                THEN p_caller_ids -> 0 ->> 'number' END
$$;

-- The caller id of the p_nth call of a run (from 0) to p_phone, whose zone key is p_zone. The run may use those of its
-- settings that the business still has; all of the business's when there are none. `first` is the first of them,
-- `rotate` takes them in turn, `local` in turn those of the lead's area, else those of its country, else all.
CREATE OR REPLACE FUNCTION dialer.caller_id_for(
    p_caller_ids jsonb, p_settings jsonb, p_phone text, p_zone text, p_nth bigint)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    choice CONSTANT text := coalesce(p_settings ->> 'caller_id_choice', 'first');
    ids jsonb[];
    near jsonb[];
BEGIN
    ids := ARRAY(SELECT c.id
                 FROM jsonb_array_elements_text(coalesce(nullif(p_settings -> 'caller_ids', 'null'), '[]'))
                      WITH ORDINALITY AS w (number, n)
                 JOIN jsonb_array_elements(p_caller_ids) AS c (id) ON c.id ->> 'number' = w.number ORDER BY w.n);
    IF cardinality(ids) = 0 THEN
        ids := ARRAY(SELECT c.id FROM jsonb_array_elements(p_caller_ids) WITH ORDINALITY AS c (id, n) ORDER BY c.n);
    END IF;
    IF choice = 'first' THEN
        RETURN ids[1] ->> 'number';
    END IF;
    IF choice = 'local' THEN
        near := ARRAY(SELECT u.id FROM unnest(ids) WITH ORDINALITY AS u (id, n)
                      WHERE u.id ->> 'area' <> '' AND starts_with(p_phone, u.id ->> 'area') ORDER BY u.n);
        IF cardinality(near) = 0 THEN
            near := ARRAY(SELECT u.id FROM unnest(ids) WITH ORDINALITY AS u (id, n)
                          WHERE u.id ->> 'country' = split_part(p_zone, ':', 1) ORDER BY u.n);
        END IF;
        IF cardinality(near) > 0 THEN
            ids := near;
        END IF;
    END IF;
    RETURN ids[1 + p_nth % cardinality(ids)] ->> 'number';
END
$$;
