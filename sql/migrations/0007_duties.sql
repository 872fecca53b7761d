-- How far a stream has been read is the row with the highest `n`. Reading on adds a row and drops the older ones, so that nobody who
-- holds a row of this table keeps the commands of all businesses waiting.
ALTER TABLE dialer.positions ADD COLUMN n BIGINT NOT NULL DEFAULT 0;
ALTER TABLE dialer.positions DROP CONSTRAINT positions_pkey, ADD PRIMARY KEY (stream, n);

-- Why a business whose turn it is takes no lead, as its worker sees it; no row while it does. Written only when the reason changes.
CREATE TABLE dialer.stalls (
    business_id  INTEGER      PRIMARY KEY,
    reason       TEXT         NOT NULL,
    detail       TEXT         NOT NULL DEFAULT '',
    since        TIMESTAMPTZ  NOT NULL DEFAULT now()
);
