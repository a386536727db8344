-- Builds of an app, numbered from 1. detail is platform.BuildDetail as JSON.
CREATE TABLE builds (
    app_id     INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    commit_id  TEXT NOT NULL,
    status     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL, -- 0: it has not
    ended_at   INTEGER NOT NULL, -- 0: it has not
    detail     TEXT NOT NULL,
    PRIMARY KEY (app_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX builds_unfinished ON builds (status) WHERE status IN ('queued', 'running');

-- What the last build of each step was made from, to compare the next one with: gzipped JSON.
CREATE TABLE build_inputs (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    inputs BLOB NOT NULL
) STRICT;

-- What holds for every app that has no own.
CREATE TABLE global_settings (
    topic TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (topic, key)
) STRICT, WITHOUT ROWID;
