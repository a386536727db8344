CREATE TABLE links (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    to_id  INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    type   TEXT NOT NULL,
    port   INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),
    PRIMARY KEY (app_id, to_id, type, port)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_target ON links (to_id);

-- An app without a row may reach all of the internet. destinations is a JSON array of strings.
CREATE TABLE egress_lists (
    app_id       INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    destinations TEXT NOT NULL
) STRICT;
