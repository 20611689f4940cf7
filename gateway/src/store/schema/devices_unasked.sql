-- When a device was last seen that was approved without asking anybody; null for one about which its owner has said something.
ALTER TABLE device ADD COLUMN unasked_seen_ms INTEGER;

CREATE INDEX device_unasked ON device (unasked_seen_ms) WHERE unasked_seen_ms IS NOT NULL;
