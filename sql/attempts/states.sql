-- The meaning of the states of an attempt and the statuses of a job: the same tables as in dialer/model.py; a test
-- compares them.

CREATE OR REPLACE FUNCTION dialer.partition_of(business_id integer) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Knuth's multiplicative hash: it spreads neighbouring ids over different partitions.
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

-- True when a fact may change a counter of its run or write an event of the run. Recording it then locks the run's row,
-- and a cancel waits for that lock. The fact that an open call has started to ring, for example, does neither.
CREATE OR REPLACE FUNCTION dialer.concerns_run(was text, now text, bound text, sid text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT NOT (dialer.is_open(was) AND dialer.is_open(now)) OR coalesce(bound <> sid, FALSE)
$$;

-- True when a fact may change the job's row. While the attempt is open, the states placing, unknown, placed and ringing
-- do not.
CREATE OR REPLACE FUNCTION dialer.concerns_job(was text, now text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT now NOT IN ('placing', 'unknown', 'placed', 'ringing') OR NOT dialer.is_open(was)
$$;

-- True for an error code that would fail every lead of the account. The codes are those of telephony/refusals.py; a
-- test compares the two lists.
CREATE OR REPLACE FUNCTION dialer.is_account_fault(error_code integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(error_code IN (
        10001, 10002, 13227, 20001, 20003, 20005, 20008, 20403, 20404, 21201, 21205, 21210, 21212, 21213, 21215, 21218,
        21219, 21234, 21606, 21609, 21626, 573005), FALSE)
$$;

-- True for an error code that is about the number; see is_account_fault.
CREATE OR REPLACE FUNCTION dialer.is_number_fault(error_code integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(error_code IN (
        13223, 13224, 13225, 13226, 21202, 21211, 21214, 21216, 21217, 21610, 32205), FALSE)
$$;

-- True when a telephone rang, or could have: the number exists.
CREATE OR REPLACE FUNCTION dialer.went_through(outcome text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT coalesce(outcome IN ('completed', 'busy', 'no-answer'), FALSE) $$;

-- True when the way a call ended says nothing about its lead: we withdrew the call from the provider's queue, the
-- account had too many calls at once (Twilio 10004, 20429), or the error would fail every lead. The lead is queued
-- again.
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

-- The counter of the run that includes a job. A queued lead of a cancelled run counts as cancelled even before its row
-- is rewritten.
CREATE OR REPLACE FUNCTION dialer.counted_as(status text, cancel_requested boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN status IN ('dialing', 'calling') THEN 'in_progress'
                WHEN status = 'queued' AND cancel_requested THEN 'cancelled'
                ELSE status END
$$;

-- The status that is shown for a job: as above, a queued lead of a cancelled run is cancelled.
CREATE OR REPLACE FUNCTION dialer.job_status(status text, cancel_requested boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN status = 'queued' AND cancel_requested THEN 'cancelled' ELSE status END
$$;

-- The outcome shown for a job. For an answered call it says what answered: a person, a machine or a fax, if known.
CREATE OR REPLACE FUNCTION dialer.job_outcome(outcome text, answered_by text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN outcome <> 'completed' THEN outcome
                WHEN answered_by = 'human' THEN 'human'
                WHEN answered_by = 'fax' THEN 'fax'
                WHEN answered_by LIKE 'machine%' THEN 'machine'
                ELSE 'answered' END
$$;

-- How many seconds after this attempt its lead is called again; NULL when it is not. `retries` is as in contract,
-- section 7: each outcome is counted separately, the last pause repeats. dialer/policy/retries.py has the same rule.
CREATE OR REPLACE FUNCTION dialer.retry_seconds(
    p_business_id integer, p_job_id bigint, p_attempt_id bigint, p_outcome text, retries jsonb)
RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT 60 * (w.minutes ->> least(t.earlier, jsonb_array_length(w.minutes) - 1))::float8
    FROM (SELECT retries -> p_outcome -> 'after_minutes' AS minutes,
                 (retries -> p_outcome ->> 'times')::integer AS times
          WHERE p_outcome IN ('no-answer', 'busy', 'failed', 'machine') AND retries ? p_outcome) w
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS earlier FROM dialer.attempts a
        WHERE a.business_id = p_business_id AND a.job_id = p_job_id AND a.id <> p_attempt_id AND a.state = 'over'
          -- The index is by number.
          AND a.phone = (SELECT j.phone FROM public.outbound_call_jobs j
                         WHERE j.id = p_job_id AND j.business_id = p_business_id)
          AND NOT dialer.is_no_fault(a.outcome, a.error_code, a.withdrawn_at)
          AND dialer.job_outcome(a.outcome, a.answered_by) = p_outcome) t
    WHERE t.earlier < w.times
$$;

-- The cost of an attempt for a budget in money: the billed minutes of an answered call; the longest call while it is
-- open or of unknown length; else nothing.
CREATE OR REPLACE FUNCTION dialer.cost_of(
    state text, outcome text, duration integer, minute_price numeric, max_cost numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN minute_price IS NULL OR state IN ('not_sent', 'not_placed') THEN 0
                WHEN state = 'over' AND outcome = 'completed' AND duration IS NOT NULL
                    THEN ceil(duration / 60.0) * minute_price
                WHEN state = 'over' AND outcome NOT IN ('completed', 'lost') THEN 0
                ELSE max_cost END
$$;

CREATE OR REPLACE FUNCTION dialer.utc() RETURNS timestamp
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT now() AT TIME ZONE 'UTC' $$;
