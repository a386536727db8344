-- What happened, for people and hooks. Names, not references: an app's history outlives it.
CREATE TABLE events (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    app      TEXT NOT NULL,
    process  TEXT NOT NULL,
    instance TEXT NOT NULL,
    release  INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    text     TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_app ON events (app, id);

CREATE TABLE restart_policies (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    policy TEXT NOT NULL
) STRICT;
