-- Deliveries of hooks, so that each is done once, and what those that start runs are to do.
CREATE TABLE hook_deliveries (
    -- What is the same for two posts of one delivery.
    key TEXT PRIMARY KEY,
    -- SHA-256 of the body.
    body TEXT NOT NULL,
    run TEXT NOT NULL,
    -- Until when it is remembered.
    until_ms INTEGER NOT NULL,
    -- What is to be done, as JSON; null when there is nothing to do any more.
    ask TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_deliveries_old ON hook_deliveries (until_ms) WHERE ask IS NULL;
CREATE INDEX hook_deliveries_open ON hook_deliveries (run) WHERE ask IS NOT NULL;
