-- Job and lead ids of other systems, and of many years, do not fit into 31 bits. A lead whose id is a text keeps it as `external_id`.
ALTER TABLE public.outbound_call_jobs
    ALTER COLUMN id TYPE BIGINT,
    ALTER COLUMN lead_id TYPE BIGINT,
    ADD COLUMN external_id VARCHAR(255);
ALTER SEQUENCE public.outbound_call_jobs_id_seq AS BIGINT;
ALTER TABLE dialer.leads ALTER COLUMN lead_id TYPE BIGINT;
ALTER TABLE dialer.retries ALTER COLUMN job_id TYPE BIGINT;
ALTER TABLE dialer.inbox ALTER COLUMN job_id TYPE BIGINT;
ALTER TABLE dialer.outbox ALTER COLUMN job_id TYPE BIGINT;
ALTER TABLE dialer.audit_log ALTER COLUMN job_id TYPE BIGINT;

-- The number of a lead whose id is a text: negative, so that it never meets the id of a lead that has a number of its own.
CREATE SEQUENCE dialer.lead_numbers_lead_id_seq AS BIGINT INCREMENT -1 MAXVALUE -1 START -1;
CREATE TABLE dialer.lead_numbers (
    business_id  INTEGER       NOT NULL,
    external_id  VARCHAR(255)  NOT NULL,
    lead_id      BIGINT        NOT NULL DEFAULT nextval('dialer.lead_numbers_lead_id_seq'),
    PRIMARY KEY (business_id, external_id)
);

ALTER TABLE dialer.attempts
    ALTER COLUMN job_id TYPE BIGINT,
    ALTER COLUMN looks TYPE INTEGER,
    -- When we took the call back out of the provider's queue: its lead did nothing wrong and is queued again.
    ADD COLUMN withdrawn_at TIMESTAMPTZ;

-- A second call of an attempt is hung up and asked about until it is over.
ALTER TABLE dialer.call_sids ADD COLUMN over_at TIMESTAMPTZ;
CREATE INDEX call_sids_excess ON dialer.call_sids (business_id) WHERE excess AND over_at IS NULL;

-- The same callback again is one row.
ALTER TABLE dialer.callbacks ADD COLUMN digest UUID;
DROP INDEX dialer.callbacks_by_attempt;
CREATE UNIQUE INDEX callbacks_once ON dialer.callbacks (attempt_id, digest);

-- Their parameters or columns change; the files of this release bring them again.
DROP FUNCTION IF EXISTS dialer.claim_v1, dialer.learn_v1, dialer.command_v1, dialer.cancel_job_v1, dialer.hang_up_v1,
    dialer.apply_received_v1, dialer.resolve_v1, dialer.adopt_strays_v1;
