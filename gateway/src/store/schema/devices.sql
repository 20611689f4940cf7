-- Devices that were approved: what each may do and by which tokens, as JSON, and how it was last seen.
CREATE TABLE device (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    sighting TEXT NOT NULL,
    -- What it last offered as a node; null for a device that never was one.
    node TEXT
) STRICT;

-- What waits for the owner's approval, as JSON.
CREATE TABLE pairing_request (
    id TEXT PRIMARY KEY,
    device_id TEXT NOT NULL,
    asked_at_ms INTEGER NOT NULL,
    request TEXT NOT NULL
) STRICT;

CREATE INDEX pairing_request_by_device ON pairing_request (device_id);
