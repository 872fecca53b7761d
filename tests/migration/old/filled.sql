-- :jobs leads of business 1, each with a number of its own. Run 1 has called the first half of them, run 2 waits.
INSERT INTO leads (tenant_id, first_name, last_name, phone_e164)
SELECT 1, 'Lead', n::text, '+1202' || (2000000 + n) FROM generate_series(1, :jobs) n;
INSERT INTO outbound_call_runs (business_id, status, concurrency, total_leads, queued_count, in_progress_count,
                                completed_count, failed_count, created_at, updated_at, completed_at, cancel_requested)
VALUES (1, 'completed', 3, :jobs / 2, 0, 0, :jobs / 2, 0, now() - interval '9 days', now() - interval '8 days',
        now() - interval '8 days', FALSE),
       (1, 'queued', 3, :jobs - :jobs / 2, :jobs - :jobs / 2, 0, 0, 0, now() - interval '1 day', now(), NULL, FALSE);
INSERT INTO outbound_call_jobs (run_id, lead_id, status, call_sid, twilio_call_sid, dial_lock_token, created_at,
                                started_at, dial_started_at, completed_at, lead_name)
SELECT 1, n, 'completed', s.sid, s.sid, md5(n::text), now() - interval '9 days', now() - interval '8 days',
       now() - interval '8 days', now() - interval '8 days', 'Lead ' || n
FROM generate_series(1, :jobs / 2) n CROSS JOIN LATERAL (SELECT 'CA' || md5('call ' || n) AS sid) s;
INSERT INTO outbound_call_jobs (run_id, lead_id, status, created_at, lead_name)
SELECT 2, n, 'queued', now() - interval '1 day', 'Lead ' || n FROM generate_series(:jobs / 2 + 1, :jobs) n;
