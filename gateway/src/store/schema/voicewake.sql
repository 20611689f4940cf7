-- The words that wake an assistant that listens, as a JSON list; no row means the words we come with.
CREATE TABLE voicewake (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    triggers TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
