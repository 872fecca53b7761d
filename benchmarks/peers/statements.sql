-- What a worker sends for a batch of businesses: a claim, the records of its calls, and the flush before anything is done outside.
\set n :client_id + :clients * random(0, :rounds - 1)
SELECT coalesce(jsonb_agg(jsonb_build_object(
           'business_id', c.business_id, 'attempt_id', c.attempt_id, 'nonce', c.nonce, 'state', 'over',
           'sid', 'CA' || lpad(c.attempt_id::text, 32, '0'), 'outcome', 'completed', 'duration', 1))
           FILTER (WHERE c.attempt_id IS NOT NULL), '[]') AS facts
FROM bench_batches b
CROSS JOIN LATERAL dialer.claim_v1(:incarnation::uuid, gen_random_uuid(), b.businesses, b.epochs, b.permits,
                                   5, 30, 10, 'AC') c
WHERE b.n = :n
\gset
SELECT pg_logical_emit_message(TRUE, 'bench', '');
SELECT count(*)
FROM (SELECT jsonb_agg(fact) AS facts
      FROM jsonb_array_elements(:facts::jsonb) WITH ORDINALITY AS one (fact, place)
      GROUP BY (place - 1) / :facts_at_once) AS chunk
CROSS JOIN LATERAL dialer.record_v1(chunk.facts);
SELECT pg_logical_emit_message(TRUE, 'bench', '');
