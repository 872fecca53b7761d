-- The two tables that other programs read keep the names and columns of the system this one replaces; their times are
-- TIMESTAMP without zone, in UTC. Where that system's tables exist, they are adopted instead: adoption/.

CREATE TABLE public.outbound_call_runs (
    id                   SERIAL,
    business_id          INTEGER      NOT NULL,
    outbound_list_id     INTEGER,
    concurrency          INTEGER      DEFAULT 3,
    created_at           TIMESTAMP    DEFAULT (now() AT TIME ZONE 'UTC'),
    created_by_user_id   INTEGER,
    name                 VARCHAR(255),
    priority             SMALLINT     NOT NULL DEFAULT 0,
    settings             JSONB        NOT NULL DEFAULT '{}',
    -- The runs whose leads this one calls again, the oldest first; their calls do not count for the gap.
    ancestors            INTEGER[]    NOT NULL DEFAULT '{}',
    cancel_requested     BOOLEAN      NOT NULL DEFAULT FALSE,
    -- True from a cancel or stop until its job rows say cancelled too; the counters show it at once.
    rewrite_pending      BOOLEAN      NOT NULL DEFAULT FALSE,
    cursor_position      INTEGER      DEFAULT 0,
    total_leads          INTEGER      DEFAULT 0,
    started_at           TIMESTAMP,
    -- When it starts by itself, until it has been started.
    schedule_at          TIMESTAMP,
    -- With a budget in money: what its calls have cost by the price table, those in progress at their longest, and in
    -- which currency.
    spent_currency       TEXT,
    locked_by_worker     VARCHAR(128),
    lock_ts              TIMESTAMP,
    -- From here on what calls change. WAL has the part of a row that an update changes, from the first such column to
    -- the last.
    status               VARCHAR(32)  DEFAULT 'running',
    queued_count         INTEGER      DEFAULT 0,
    in_progress_count    INTEGER      DEFAULT 0,
    completed_count      INTEGER      DEFAULT 0,
    failed_count         INTEGER      DEFAULT 0,
    cancelled_count      INTEGER      NOT NULL DEFAULT 0,
    skipped_count        INTEGER      NOT NULL DEFAULT 0,
    -- Attempts that were or may have been sent, for the budget.
    calls_count          INTEGER      NOT NULL DEFAULT 0,
    amount_spent         NUMERIC      NOT NULL DEFAULT 0,
    updated_at           TIMESTAMP    DEFAULT (now() AT TIME ZONE 'UTC'),
    served_at            TIMESTAMP,
    last_error           TEXT,
    -- The same for a program: {kind, code?, ...}, see docs/schema.md.
    last_error_cause     JSONB,
    ended_at             TIMESTAMP,
    completed_at         TIMESTAMP,
    cancel_requested_at  TIMESTAMP,
    cancel_requested_by  VARCHAR(255),
    archived_at          TIMESTAMP
) WITH (fillfactor = 50);

CREATE INDEX outbound_call_runs_by_business ON public.outbound_call_runs (business_id, id);
CREATE INDEX outbound_call_runs_running ON public.outbound_call_runs (business_id) WHERE status = 'running';
CREATE INDEX outbound_call_runs_scheduled ON public.outbound_call_runs (schedule_at)
    WHERE status = 'pending' AND schedule_at IS NOT NULL;
CREATE INDEX outbound_call_runs_flagged ON public.outbound_call_runs (id)
    WHERE cancel_requested AND cancel_requested_at IS NULL AND ended_at IS NULL;
CREATE INDEX outbound_call_runs_to_rewrite ON public.outbound_call_runs (id) WHERE rewrite_pending;
-- The last, as with dialer.attempts.
ALTER TABLE public.outbound_call_runs ADD PRIMARY KEY (id);

-- Job and lead ids do not fit into 31 bits: other systems have larger ones, and ours grow. A lead whose id is a text
-- has it in `external_id`.
CREATE TABLE public.outbound_call_jobs (
    id               BIGSERIAL PRIMARY KEY,
    run_id           INTEGER      NOT NULL REFERENCES public.outbound_call_runs (id),
    lead_id          BIGINT       NOT NULL,
    business_id      INTEGER      NOT NULL,
    position         INTEGER,
    created_at       TIMESTAMP    DEFAULT (now() AT TIME ZONE 'UTC'),
    call_log_id      INTEGER,
    project_id       INTEGER,
    external_id      VARCHAR(255),
    phone            VARCHAR(32),
    lead_name        VARCHAR(255),
    -- From here on what calls change, as in outbound_call_runs.
    attempt_id       BIGINT,
    attempts         SMALLINT     NOT NULL DEFAULT 0,
    dial_lock_token  VARCHAR(64),
    started_at       TIMESTAMP,
    dial_started_at  TIMESTAMP,
    status           VARCHAR(32)  DEFAULT 'queued',
    outcome          VARCHAR(32),
    call_sid         VARCHAR(64),
    twilio_call_sid  VARCHAR(64),
    completed_at     TIMESTAMP,
    error_message    TEXT,
    -- Why it was skipped, or which rule ended it after a call.
    reason           VARCHAR(32),
    CONSTRAINT unique_run_lead UNIQUE (run_id, lead_id),
    CONSTRAINT outbound_call_jobs_position UNIQUE (run_id, position)
)
-- A row more than doubles until its call is over. On a fuller page the last rows would move to another one, with new
-- entries in every index.
WITH (fillfactor = 40);

ALTER TABLE public.outbound_call_runs SET (
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE public.outbound_call_jobs SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05);
