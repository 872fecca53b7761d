-- The calls of the old application that have ended, as attempts: they count for the gap and for the calls of a day.

-- When the old application has called a lead whose call has ended; NULL when it has not, or when its last call is one
-- of ours. Failed without a call is what it wrote for leads that were never called.
CREATE OR REPLACE FUNCTION dialer.old_call_at(job public.outbound_call_jobs) RETURNS timestamp
LANGUAGE sql STABLE AS $$
    SELECT c.at FROM (SELECT coalesce(job.dial_started_at, job.started_at, job.completed_at) AS at) c
    WHERE (job.status = 'completed'
           OR job.status = 'failed'
              AND coalesce(nullif(job.twilio_call_sid, ''), nullif(job.call_sid, ''), job.dial_started_at::text,
                           job.started_at::text) IS NOT NULL)
      AND NOT EXISTS (SELECT FROM dialer.attempts a
                      WHERE a.id = job.attempt_id AND a.business_id = job.business_id
                        AND a.created_at AT TIME ZONE 'UTC' >= c.at - interval '1 minute')
$$;

-- The jobs of a business that the old application has called since a time, behind an id, with the number as it is
-- written there.
CREATE OR REPLACE FUNCTION dialer.recent_old_calls_v1(
    p_business_id integer, p_since timestamptz, p_after bigint, p_limit integer)
RETURNS TABLE (job_id bigint, number text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass('public.leads') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT j.id::bigint, l.phone_e164::text
    FROM public.outbound_call_jobs j JOIN public.leads l ON l.id = j.lead_id AND l.tenant_id = p_business_id
    WHERE j.business_id = p_business_id AND j.id > p_after
      AND greatest(j.dial_started_at, j.started_at, j.completed_at) >= p_since AT TIME ZONE 'UTC'
      AND dialer.old_call_at(j) >= p_since AT TIME ZONE 'UTC'
    ORDER BY j.id LIMIT p_limit;
END
$$;

-- Add an attempt that is over for each of these calls; returns how many. Done again it adds none.
CREATE OR REPLACE FUNCTION dialer.count_old_calls_v1(
    p_business_id integer, p_jobs bigint[], p_phones text[], p_default_account text)
RETURNS integer
LANGUAGE sql AS $$
    WITH old AS MATERIALIZED (
        SELECT j.id, j.run_id, j.status, n.phone, dialer.old_call_at(j) AT TIME ZONE 'UTC' AS at,
               j.completed_at AT TIME ZONE 'UTC' AS ended_at, z.sid,
               row_number() OVER (PARTITION BY z.sid ORDER BY j.id) = 1
                   AND NOT EXISTS (SELECT FROM dialer.call_sids k WHERE k.sid = z.sid) AS is_its_own
        FROM unnest(p_jobs, p_phones) AS n (job_id, phone)
        JOIN public.outbound_call_jobs j ON j.id = n.job_id AND j.business_id = p_business_id
        CROSS JOIN LATERAL (SELECT coalesce(nullif(j.twilio_call_sid, ''), nullif(j.call_sid, '')) AS sid) z
        WHERE dialer.old_call_at(j) IS NOT NULL
    ), created AS (
        INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, account_sid,
                                     ring_seconds, created_at, send_by, sid, ended_at, outcome, reason)
        SELECT p_business_id, o.run_id, o.id, 'over', gen_random_uuid(),
               md5(gen_random_uuid()::text || gen_random_uuid()::text)::uuid, o.phone, b.caller_ids -> 0 ->> 'number',
               coalesce(b.account_sid, nullif(p_default_account, '')), 0, o.at, o.at + interval '5 seconds',
               CASE WHEN o.is_its_own THEN o.sid END, greatest(o.ended_at, o.at),
               CASE o.status WHEN 'completed' THEN 'completed' ELSE 'failed' END, 'called by the old application'
        FROM old o JOIN dialer.businesses b ON b.business_id = p_business_id ORDER BY o.id
        RETURNING id, job_id, phone, sid
    ), bound AS (
        INSERT INTO dialer.call_sids (sid, business_id, attempt_id)
        SELECT c.sid, p_business_id, c.id FROM created c WHERE c.sid IS NOT NULL
    ), job AS (
        UPDATE public.outbound_call_jobs j
        SET attempt_id = c.id, attempts = greatest(j.attempts, 1), phone = coalesce(j.phone, c.phone)
        FROM created c WHERE j.id = c.job_id AND j.business_id = p_business_id
    )
    SELECT count(*)::integer FROM created
$$;
