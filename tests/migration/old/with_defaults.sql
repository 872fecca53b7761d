-- The first variant: defaults and keys in the database.
CREATE TABLE outbound_call_runs (
    id SERIAL PRIMARY KEY, business_id INTEGER NOT NULL REFERENCES business (id),
    outbound_list_id INTEGER REFERENCES outbound_lead_lists (id), concurrency INTEGER DEFAULT 3,
    total_leads INTEGER DEFAULT 0, queued_count INTEGER DEFAULT 0, in_progress_count INTEGER DEFAULT 0,
    completed_count INTEGER DEFAULT 0, failed_count INTEGER DEFAULT 0, status VARCHAR(32) DEFAULT 'running',
    last_error TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    completed_at TIMESTAMP, cancel_requested BOOLEAN NOT NULL DEFAULT FALSE);
CREATE INDEX idx_runs_business ON outbound_call_runs (business_id);
CREATE INDEX idx_runs_status ON outbound_call_runs (status);
CREATE INDEX idx_runs_created ON outbound_call_runs (created_at);
CREATE TABLE outbound_call_jobs (
    id SERIAL PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES outbound_call_runs (id),
    lead_id INTEGER NOT NULL REFERENCES leads (id), call_log_id INTEGER REFERENCES call_log (id),
    status VARCHAR(32) DEFAULT 'queued', error_message TEXT, call_sid VARCHAR(64),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, started_at TIMESTAMP, completed_at TIMESTAMP,
    twilio_call_sid VARCHAR(64), dial_started_at TIMESTAMP, dial_lock_token VARCHAR(64), lead_name VARCHAR(255),
    project_id INTEGER REFERENCES outbound_projects (id) ON DELETE SET NULL);
CREATE INDEX idx_jobs_run ON outbound_call_jobs (run_id);
CREATE INDEX idx_jobs_lead ON outbound_call_jobs (lead_id);
CREATE INDEX idx_jobs_status ON outbound_call_jobs (status);
CREATE INDEX idx_jobs_call_sid ON outbound_call_jobs (call_sid);
CREATE INDEX idx_jobs_twilio_call_sid ON outbound_call_jobs (twilio_call_sid);
CREATE INDEX idx_jobs_token ON outbound_call_jobs (dial_lock_token);
CREATE INDEX idx_jobs_status_sid ON outbound_call_jobs (status, twilio_call_sid);
CREATE INDEX idx_jobs_project ON outbound_call_jobs (project_id);
