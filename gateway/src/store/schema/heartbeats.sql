-- How the last heartbeat of an agent went, as clients are shown it.
CREATE TABLE heartbeats (
    agent TEXT PRIMARY KEY,
    beat_ms INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Whether hearts beat by themselves; no row means that they do.
CREATE TABLE heartbeat_switch (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    is_on INTEGER NOT NULL
) STRICT;
