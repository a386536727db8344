-- What the router keeps for TLS: keys, certificates, accounts, challenges, session ticket keys.
CREATE TABLE vault (
    key         TEXT PRIMARY KEY,
    value       BLOB NOT NULL,
    modified_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A lock is free when its lease is over.
CREATE TABLE vault_locks (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Certificates that owners of apps brought.
CREATE TABLE certificates (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id      INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    chain       BLOB NOT NULL,
    private_key BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    UNIQUE (app_id, fingerprint)
) STRICT;

CREATE TABLE global_domains (
    host     TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
