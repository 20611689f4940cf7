-- What was taken over from another version, and what it looked like then, so that it is taken over once: what was deleted here
-- stays deleted, and what was changed here stays as it is, for as long as the other version has not changed it.
CREATE TABLE imports (
    -- transcript, session, job, runs, device, node, voicewake
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
