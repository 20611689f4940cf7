-- Notes that wait for the main session, the oldest first.
CREATE TABLE system_events (
    id INTEGER PRIMARY KEY,
    -- now, next-heartbeat: somebody waits for the agent to be told; note: a device said what it did.
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX system_events_by_kind ON system_events (kind, id);
