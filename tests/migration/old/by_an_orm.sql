-- The second variant: as an ORM creates it on an empty database, without defaults, and project_id without its key.
CREATE TABLE outbound_call_runs (
    id SERIAL PRIMARY KEY, business_id INTEGER NOT NULL REFERENCES business (id),
    outbound_list_id INTEGER REFERENCES outbound_lead_lists (id), concurrency INTEGER, total_leads INTEGER,
    queued_count INTEGER, in_progress_count INTEGER, completed_count INTEGER, failed_count INTEGER, status VARCHAR(32),
    last_error TEXT, created_at TIMESTAMP, updated_at TIMESTAMP, completed_at TIMESTAMP,
    cancel_requested BOOLEAN NOT NULL);
CREATE INDEX ix_outbound_call_runs_business_id ON outbound_call_runs (business_id);
CREATE INDEX ix_outbound_call_runs_status ON outbound_call_runs (status);
CREATE INDEX ix_outbound_call_runs_created_at ON outbound_call_runs (created_at);
CREATE TABLE outbound_call_jobs (
    id SERIAL PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES outbound_call_runs (id),
    lead_id INTEGER NOT NULL REFERENCES leads (id), call_log_id INTEGER REFERENCES call_log (id), status VARCHAR(32),
    error_message TEXT, call_sid VARCHAR(64), created_at TIMESTAMP, started_at TIMESTAMP, completed_at TIMESTAMP,
    twilio_call_sid VARCHAR(64), dial_started_at TIMESTAMP, dial_lock_token VARCHAR(64), lead_name VARCHAR(255),
    project_id INTEGER);
CREATE INDEX ix_outbound_call_jobs_run_id ON outbound_call_jobs (run_id);
CREATE INDEX ix_outbound_call_jobs_lead_id ON outbound_call_jobs (lead_id);
CREATE INDEX ix_outbound_call_jobs_status ON outbound_call_jobs (status);
CREATE INDEX ix_outbound_call_jobs_call_sid ON outbound_call_jobs (call_sid);
CREATE INDEX ix_outbound_call_jobs_twilio_call_sid ON outbound_call_jobs (twilio_call_sid);
CREATE INDEX ix_outbound_call_jobs_dial_lock_token ON outbound_call_jobs (dial_lock_token);
CREATE INDEX ix_outbound_call_jobs_status_twilio_call_sid ON outbound_call_jobs (status, twilio_call_sid);
CREATE INDEX ix_outbound_call_jobs_project_id ON outbound_call_jobs (project_id);
