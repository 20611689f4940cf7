-- Runs of agents: journaled before they are acknowledged.
CREATE TABLE runs (
    -- Grows, so that the oldest waits the least.
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- What is to be done, as JSON; null once it is over.
    request TEXT,
    -- SHA-256 of what was asked.
    params TEXT NOT NULL,
    -- accepted, running, done
    state TEXT NOT NULL,
    -- Whether anything of it may have reached a provider, a tool or a channel.
    has_left INTEGER NOT NULL DEFAULT 0,
    -- The life of the gateway that does it; null when none does.
    life TEXT,
    accepted_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    -- How it ended, as JSON.
    outcome TEXT
) STRICT;
CREATE INDEX runs_open ON runs (state, number) WHERE state <> 'done';
CREATE INDEX runs_ended ON runs (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX runs_by_session ON runs (session_key, number);
-- Lives of the gateway, to tell whether one that holds a run is still there.
CREATE TABLE lives (
    life TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    -- When the process began, in ticks since the machine did; tells it from others that have had its number.
    born INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- What a life that no clients have any more tells those of its successor.
CREATE TABLE run_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
