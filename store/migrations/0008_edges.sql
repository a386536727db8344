-- What is done with an app's requests, in the words that it was asked for with. platform.EdgeRule says what
-- they are.
CREATE TABLE edge_rules (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    kind   TEXT NOT NULL,
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (app_id, kind, key)
) STRICT, WITHOUT ROWID;

-- The second release of an app, and its part of the clients. release 0 is the next push.
CREATE TABLE canaries (
    app_id  INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    release INTEGER NOT NULL,
    percent REAL NOT NULL
) STRICT;
