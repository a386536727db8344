CREATE TABLE tokens (
    name       TEXT PRIMARY KEY,
    hash       TEXT NOT NULL UNIQUE,
    app_id     INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    read_only  INTEGER NOT NULL,
    expires_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE logins (
    host       TEXT PRIMARY KEY,
    user       TEXT NOT NULL,
    secret     TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pulled (
    reference  TEXT PRIMARY KEY,
    digest     TEXT NOT NULL,
    image      TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
