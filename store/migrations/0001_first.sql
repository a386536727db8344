CREATE TABLE apps (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    deploy_branch TEXT NOT NULL DEFAULT '',
    stopped       INTEGER NOT NULL DEFAULT 0,
    epoch         INTEGER NOT NULL DEFAULT 0,
    release       INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE config (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (app_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE formation (
    app_id   INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    type     TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (app_id, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE images (
    id       TEXT PRIMARY KEY,
    manifest TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    app_id      INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    image_id    TEXT NOT NULL REFERENCES images (id),
    config      TEXT NOT NULL,
    description TEXT NOT NULL,
    actor       TEXT NOT NULL,
    commit_id   TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (app_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE domains (
    host   TEXT PRIMARY KEY,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX domains_by_app ON domains (app_id);

CREATE TABLE keys (
    name        TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    public      TEXT NOT NULL,
    admin       INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
