-- An app in the trash keeps its row, and with it all that refers to it; its name is no app's then. former_name is
-- the name under which its files may still lie: of a rename that is not over.
ALTER TABLE apps ADD COLUMN trashed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE apps ADD COLUMN former_name TEXT NOT NULL DEFAULT '';

CREATE TABLE app_locks (
    app_id    INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    message   TEXT NOT NULL,
    actor     TEXT NOT NULL,
    locked_at INTEGER NOT NULL
) STRICT;

-- size is in bytes; 0: no bound. A volume in the trash has no name that anybody can type.
CREATE TABLE volumes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    size       INTEGER NOT NULL,
    trashed_at INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT;

-- Who may mount it.
CREATE TABLE volume_apps (
    volume_id INTEGER NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    app_id    INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    PRIMARY KEY (volume_id, app_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX volume_apps_by_app ON volume_apps (app_id);

-- What was destroyed and can come back. detail is platform.TrashDetail as JSON.
CREATE TABLE trash (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    app_id    INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    volume_id INTEGER REFERENCES volumes (id) ON DELETE CASCADE,
    detail    TEXT NOT NULL,
    bytes     INTEGER NOT NULL,
    purging   INTEGER NOT NULL DEFAULT 0,
    actor     TEXT NOT NULL,
    at        INTEGER NOT NULL
) STRICT;

-- What apps were called before, to tell those who come by that name.
CREATE TABLE former_names (
    name   TEXT PRIMARY KEY,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
