-- What was asked under which key and what it was answered, so that a request that is repeated is not done twice.
CREATE TABLE idempotency (
    -- Grows, so that the oldest rows are the smallest.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    -- SHA-256 of the parameters.
    params TEXT NOT NULL,
    -- The life of the gateway that works on it.
    life TEXT NOT NULL,
    -- The response as JSON: {"ok":...} or {"error":...}; null while it is worked on.
    answer TEXT,
    created_ms INTEGER NOT NULL,
    UNIQUE (kind, key)
) STRICT;

CREATE INDEX idempotency_by_age ON idempotency (created_ms);
