-- What belongs together; the entry is the JSON that clients see.
CREATE TABLE sessions (
    key TEXT PRIMARY KEY,
    agent TEXT NOT NULL,
    session_id TEXT NOT NULL,
    label TEXT UNIQUE,
    spawned_by TEXT,
    updated_at INTEGER NOT NULL,
    entry TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_time ON sessions (updated_at);
CREATE INDEX sessions_by_agent ON sessions (agent, updated_at);
CREATE INDEX sessions_by_id ON sessions (session_id);
