-- A sign-in by browser. The cookie names a row here, and is worth nothing once the row has ended or expired.
CREATE TABLE dialer.sessions (
    id            BIGINT       GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       INTEGER      NOT NULL REFERENCES dialer.users ON DELETE CASCADE,
    business_id   INTEGER      NOT NULL,
    created_at    TIMESTAMPTZ  NOT NULL DEFAULT now(),
    last_seen_at  TIMESTAMPTZ  NOT NULL DEFAULT now(),
    expires_at    TIMESTAMPTZ  NOT NULL,
    ended_at      TIMESTAMPTZ,
    address       TEXT         NOT NULL,
    user_agent    TEXT         NOT NULL
);
CREATE INDEX sessions_by_user ON dialer.sessions (business_id, user_id, id);
