-- What was said, one row for each conversation; how it is shown in lists is kept with it.
CREATE TABLE transcripts (
    session_id TEXT PRIMARY KEY,
    session_key TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    -- Messages in it.
    messages INTEGER NOT NULL DEFAULT 0,
    -- The first words of a person, cut.
    title TEXT,
    -- The newest words of a person or a model, cut.
    preview TEXT,
    -- When it is removed; null while a session has it.
    expires_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX transcripts_expiring ON transcripts (expires_ms) WHERE expires_ms IS NOT NULL;
-- The entries of conversations, in their order.
CREATE TABLE transcript_entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES transcripts ON DELETE CASCADE,
    id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    -- message, compaction, or what other versions wrote besides
    kind TEXT NOT NULL,
    -- Who has said a message: user, assistant, toolResult.
    role TEXT,
    -- The message, or the rest of the entry, as JSON.
    body TEXT NOT NULL,
    UNIQUE (session_id, id)
) STRICT;
CREATE INDEX transcript_entries_in_order ON transcript_entries (session_id, number);
-- What was used, by day; it stays when conversations go.
CREATE TABLE usage_days (
    day TEXT PRIMARY KEY,
    input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    cache_read INTEGER NOT NULL DEFAULT 0,
    cache_write INTEGER NOT NULL DEFAULT 0,
    total_tokens INTEGER NOT NULL DEFAULT 0,
    total_cost REAL NOT NULL DEFAULT 0,
    missing_cost INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
