-- A worker that has been told to stop keeps its lease while its last POSTs end, but what it gives back meanwhile is for the others.
ALTER TABLE dialer.workers ADD COLUMN leaving BOOLEAN NOT NULL DEFAULT FALSE;
