-- What somebody wanted to execute, and what people said to it.
CREATE TABLE exec_approval (
    id TEXT PRIMARY KEY,
    -- As people are shown it, JSON.
    request TEXT NOT NULL,
    -- Who asked and what the approval holds for, JSON.
    bound TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    -- Null while it waits, and for one that nobody decided in time.
    decision TEXT,
    resolved_ms INTEGER,
    -- When it was used; it can be used once.
    consumed_ms INTEGER
) STRICT;

CREATE INDEX exec_approval_by_age ON exec_approval (created_ms);
