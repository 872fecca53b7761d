-- The meaning of the states of an attempt and the statuses of a job: the same tables as in dialer/model.py; a test
-- compares them.

CREATE OR REPLACE FUNCTION dialer.partition_of(business_id integer) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Knuth's multiplicative hash: neighbouring ids land apart.
    SELECT ((business_id::bigint * 2654435761 % 4294967296) >> 24)::smallint
$$;

CREATE OR REPLACE FUNCTION dialer.rank_of(state text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE state WHEN 'placing' THEN 1 WHEN 'unknown' THEN 2 WHEN 'placed' THEN 3 WHEN 'ringing' THEN 4 WHEN 'live'
           THEN 5
                      WHEN 'not_placed' THEN 8 WHEN 'not_sent' THEN 9 WHEN 'over' THEN 9 END
$$;

CREATE OR REPLACE FUNCTION dialer.is_open(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT dialer.rank_of(state) <= 5 $$;

-- True when a fact may move a counter of its run or write an event of it: then it needs the run's row, and a cancel
-- waits for it. An open call that starts to ring, for example, does neither.
CREATE OR REPLACE FUNCTION dialer.concerns_run(was text, now text, bound text, sid text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT NOT (dialer.is_open(was) AND dialer.is_open(now)) OR coalesce(bound <> sid, FALSE)
$$;

-- True when a fact may change the job's row; placed, ringing and unknown do not.
CREATE OR REPLACE FUNCTION dialer.concerns_job(was text, now text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT now NOT IN ('placing', 'unknown', 'placed', 'ringing') OR NOT dialer.is_open(was)
$$;

-- True for an error code that meets every lead of the account: the codes of telephony/refusals.py. A test compares the
-- two.
CREATE OR REPLACE FUNCTION dialer.is_account_fault(error_code integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(error_code IN (
        10001, 10002, 13227, 20001, 20003, 20005, 20008, 20403, 20404, 21201, 21205, 21210, 21212, 21213, 21215, 21218,
        21219, 21234, 21606, 21609, 21626, 573005), FALSE)
$$;

-- True for an end that says nothing about the lead: we withdrew the call from the provider's queue, the account had too
-- many calls at once (Twilio 10004, 20429), or the failure would meet every lead. The lead is queued again.
CREATE OR REPLACE FUNCTION dialer.is_no_fault(outcome text, error_code integer,
                                              withdrawn_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT outcome = 'canceled' AND withdrawn_at IS NOT NULL
           OR outcome = 'failed' AND (coalesce(error_code IN (10004, 20429), FALSE)
                                      OR dialer.is_account_fault(error_code))
$$;

CREATE OR REPLACE FUNCTION dialer.job_after(outcome text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE outcome WHEN 'completed' THEN 'completed' WHEN 'canceled' THEN 'cancelled' ELSE 'failed' END
$$;

-- Which of the run's counters a job is counted in. A lead of a cancelled run counts as cancelled before its row says
-- so.
CREATE OR REPLACE FUNCTION dialer.counted_as(status text, cancel_requested boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN status IN ('dialing', 'calling') THEN 'in_progress'
                WHEN status = 'queued' AND cancel_requested THEN 'cancelled'
                ELSE status END
$$;

-- The outcome a job shows: for an answered call, who answered.
CREATE OR REPLACE FUNCTION dialer.job_outcome(outcome text, answered_by text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN outcome <> 'completed' THEN outcome
                WHEN answered_by = 'human' THEN 'human'
                WHEN answered_by = 'fax' THEN 'fax'
                WHEN answered_by LIKE 'machine%' THEN 'machine'
                ELSE 'answered' END
$$;

CREATE OR REPLACE FUNCTION dialer.utc() RETURNS timestamp
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT now() AT TIME ZONE 'UTC' $$;
