-- in parts
-- Jobs that belong to no run or no lead: into the archive.
WITH part AS MATERIALIZED (
    SELECT j.id, j.run_id, j.lead_id FROM public.outbound_call_jobs j WHERE j.id > $1 ORDER BY j.id LIMIT $2
), orphan AS (
    SELECT p.id, r.business_id,
           CASE WHEN p.run_id IS NULL THEN 'no run_id' WHEN p.lead_id IS NULL THEN 'no lead_id'
                WHEN r.id IS NULL THEN 'no such run'
                WHEN NOT EXISTS (SELECT FROM public.leads l WHERE l.id = p.lead_id) THEN 'no such lead' END AS reason
    FROM part p LEFT JOIN public.outbound_call_runs r ON r.id = p.run_id
    -- A lead that came over HTTP after an interrupted adoption is no orphan; it has a number.
    WHERE NOT EXISTS (SELECT FROM public.outbound_call_jobs k WHERE k.id = p.id AND k.phone IS NOT NULL)
), removed AS (
    DELETE FROM public.outbound_call_jobs j USING orphan o WHERE j.id = o.id AND o.reason IS NOT NULL
    RETURNING o.business_id, j.id, o.reason, to_jsonb(j) AS row
), kept AS (
    INSERT INTO dialer.legacy_archive (business_id, table_name, row_id, reason, row)
    SELECT m.business_id, 'outbound_call_jobs', m.id, m.reason, m.row FROM removed m ORDER BY m.id
)
SELECT max(p.id) FROM part p
