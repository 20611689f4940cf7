-- Who asked, as columns, so that the records of one asker are found and counted without reading those of all others. They are
-- derived from the record, so that rows which an older version writes have them too.
ALTER TABLE exec_approval ADD COLUMN asker TEXT GENERATED ALWAYS AS (coalesce(
    json_extract(bound, '$.asker.device'),
    json_extract(bound, '$.asker.connection.life') || '/' || json_extract(bound, '$.asker.connection.link')
)) VIRTUAL;
-- Null for a client without a device.
ALTER TABLE exec_approval ADD COLUMN device TEXT GENERATED ALWAYS AS (json_extract(bound, '$.asker.device')) VIRTUAL;

CREATE INDEX exec_approval_usable ON exec_approval (asker, resolved_ms)
    WHERE consumed_ms IS NULL AND decision IN ('allow-once', 'allow-always');
CREATE INDEX exec_approval_waiting ON exec_approval (expires_ms) WHERE resolved_ms IS NULL;
CREATE INDEX exec_approval_by_device ON exec_approval (device);
