-- Where apps' logs are sent. headers are lines "Name: value".
CREATE TABLE log_drains (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id     INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    url        TEXT NOT NULL,
    private    INTEGER NOT NULL,
    insecure   INTEGER NOT NULL,
    ca         TEXT NOT NULL,
    headers    TEXT NOT NULL,
    actor      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (app_id, url)
) STRICT;
