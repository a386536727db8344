-- What an app was given beyond the defaults. process_type '' is every type that has no own.
CREATE TABLE settings (
    app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    topic        TEXT NOT NULL,
    process_type TEXT NOT NULL,
    key          TEXT NOT NULL,
    value        TEXT NOT NULL,
    PRIMARY KEY (app_id, topic, process_type, key)
) STRICT, WITHOUT ROWID;

-- Who changed it. '' is not set.
CREATE TABLE setting_changes (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    topic        TEXT NOT NULL,
    process_type TEXT NOT NULL,
    key          TEXT NOT NULL,
    before       TEXT NOT NULL,
    after        TEXT NOT NULL,
    actor        TEXT NOT NULL,
    at           INTEGER NOT NULL
) STRICT;
CREATE INDEX setting_changes_by_app ON setting_changes (app_id, topic, id);

CREATE TABLE oom_kills (
    app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process_type TEXT NOT NULL,
    kills        INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    peak         INTEGER NOT NULL,
    memory_limit INTEGER NOT NULL,
    PRIMARY KEY (app_id, process_type)
) STRICT, WITHOUT ROWID;
