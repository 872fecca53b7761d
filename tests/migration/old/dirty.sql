-- Each kind of dirt; the leads 100001 to 100020 are of business 1, but for 100014. The names of the runs are those of the tests.
ALTER TABLE outbound_call_jobs DROP CONSTRAINT outbound_call_jobs_run_id_fkey;
ALTER TABLE outbound_call_jobs DROP CONSTRAINT outbound_call_jobs_lead_id_fkey;
ALTER TABLE outbound_call_jobs ALTER COLUMN run_id DROP NOT NULL, ALTER COLUMN lead_id DROP NOT NULL;
INSERT INTO leads (id, tenant_id, name, phone_e164)
SELECT 100000 + n, CASE n WHEN 14 THEN 2 ELSE 1 END, 'Dirty ' || n,
       CASE n WHEN 11 THEN NULL WHEN 12 THEN 'call me' WHEN 13 THEN '(202) 555-0110' ELSE '+12025550' || (100 + n) END
FROM generate_series(1, 20) n;
INSERT INTO outbound_call_runs (id, business_id, status, concurrency, total_leads, queued_count, in_progress_count,
                                completed_count, failed_count, created_at, updated_at, cancel_requested) VALUES
    -- Running for ever, with counters of its own.
    (101, 1, 'running', 3, 99, 42, -1, 7, 0, now() - interval '4 days', now() - interval '4 days', FALSE),
    -- Being driven at this moment.
    (102, 1, 'running', 3, 2, 1, 1, 0, 0, now() - interval '4 days', now(), FALSE),
    -- A cancel that a dead worker never read.
    (103, 1, 'running', 3, 2, 2, 0, 0, 0, now() - interval '4 days', now() - interval '4 days', TRUE),
    -- Failed by a restart, with leads that were never called.
    (104, 1, 'failed', 3, 3, 0, 0, 1, 2, now() - interval '4 days', now() - interval '4 days', FALSE),
    -- Never driven.
    (105, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, FALSE),
    (106, 1, 'stopped', 3, 0, 0, 0, 0, 0, now() - interval '4 days', now() - interval '4 days', FALSE),
    -- A word that nobody knows.
    (107, 2, 'stuck', 0, 1, 1, 0, 0, 0, now() - interval '4 days', now() - interval '4 days', FALSE);
INSERT INTO outbound_call_jobs (run_id, lead_id, status, call_sid, twilio_call_sid, dial_lock_token, started_at,
                                dial_started_at, completed_at) VALUES
    -- In doubt: a token and no sid; the same without a token.
    (101, 100001, 'dialing', NULL, NULL, 'token 1', NULL, now() - interval '4 days', NULL),
    (101, 100002, 'dialing', '', NULL, NULL, NULL, NULL, NULL),
    -- Calling for days.
    (101, 100003, 'calling', 'CAforever', 'CAforever', 'token 3', now() - interval '4 days', now() - interval '4 days', NULL),
    -- Queued again after a call, and after the token was taken.
    (101, 100004, 'queued', NULL, 'CAagain', NULL, now() - interval '4 days', NULL, NULL),
    (101, 100005, 'queued', NULL, NULL, 'token 5', NULL, NULL, NULL),
    -- The same lead three times: the row with the sid is neither the first nor the last.
    (101, 100006, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100006, 'failed', NULL, 'CAreal', NULL, now() - interval '4 days', now() - interval '4 days', now() - interval '4 days'),
    (101, 100006, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    -- The same lead twice: an outcome without a sid; one in doubt; one that was cancelled.
    (101, 100007, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100007, 'failed', NULL, NULL, NULL, now() - interval '4 days', NULL, now() - interval '4 days'),
    (101, 100008, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100008, 'dialing', NULL, NULL, 'token 8', NULL, now() - interval '4 days', NULL),
    (101, 100009, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100009, 'cancelled', NULL, NULL, NULL, NULL, NULL, NULL),
    -- A number; none; one that is no number; the number of another lead; a lead of another business; no status.
    (101, 100010, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100011, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100012, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100013, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100014, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, 100015, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    -- Orphans: without a run, without a lead, twice each; of a run and of a lead that are not there.
    (NULL, 100001, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (NULL, 100001, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, NULL, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (101, NULL, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (999, 100001, 'completed', 'CAorphan', 'CAorphan', NULL, NULL, NULL, NULL),
    (101, 999999, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    -- Of the run that is being driven.
    (102, 100001, 'calling', 'CAlive', 'CAlive', 'token L', now(), now(), NULL),
    (102, 100002, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (103, 100003, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (103, 100004, 'completed', 'CAdone', 'CAdone', NULL, NULL, NULL, now() - interval '4 days'),
    (104, 100005, 'completed', 'CAdone2', 'CAdone2', NULL, NULL, NULL, now() - interval '4 days'),
    (104, 100006, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (104, 100007, 'dialing', NULL, NULL, 'token F', NULL, now() - interval '4 days', NULL),
    (105, 100016, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
    (107, 100014, 'queued', NULL, NULL, NULL, NULL, NULL, NULL);
SELECT setval('outbound_call_runs_id_seq', 200), setval('leads_id_seq', 200000);
