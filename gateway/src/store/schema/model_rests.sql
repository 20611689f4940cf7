-- Keys of model providers that are left alone for a while. A key is named by its provider and a fingerprint.
CREATE TABLE model_rests (
    key TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    is_unpaid INTEGER NOT NULL,
    failed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
