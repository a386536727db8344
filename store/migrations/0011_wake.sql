-- Who sleeps. An app that is not here is awake.
CREATE TABLE sleeps (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    depth  TEXT NOT NULL,
    since  INTEGER NOT NULL,
    given  INTEGER NOT NULL
) STRICT;
