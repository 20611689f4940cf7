-- How many bytes the answers under all keys have together. Counted by the tables, so that rows which an older version writes count,
-- too.
CREATE TABLE idempotency_total (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    bytes INTEGER NOT NULL
) STRICT;

INSERT INTO idempotency_total SELECT 1, coalesce(sum(octet_length(answer)), 0) FROM idempotency;

CREATE TRIGGER idempotency_answered AFTER UPDATE OF answer ON idempotency BEGIN
    UPDATE idempotency_total
    SET bytes = bytes + coalesce(octet_length(new.answer), 0) - coalesce(octet_length(old.answer), 0);
END;

CREATE TRIGGER idempotency_forgotten AFTER DELETE ON idempotency WHEN old.answer IS NOT NULL BEGIN
    UPDATE idempotency_total SET bytes = bytes - octet_length(old.answer);
END;

-- The answers that are worth replacing by a note, the oldest first.
CREATE INDEX idempotency_with_answer ON idempotency (id) WHERE octet_length(answer) > 512;
