-- After a fail-over to a standby that lagged, or a restored backup, calls may exist that the database has never heard of.
-- Each history it has lived through has a row here; the newest is the present one. `calls_from`: no call before it was forgotten.
CREATE TABLE dialer.histories (
    id          INTEGER      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        TEXT         NOT NULL UNIQUE,
    since       TIMESTAMPTZ  NOT NULL DEFAULT now(),
    calls_from  TIMESTAMPTZ  NOT NULL
);
-- In which history the calls of this business were last compared with the provider's; no lead is taken in a later one before that.
ALTER TABLE dialer.lanes ADD COLUMN history INTEGER;
