-- What went wrong last with a place of an app's formation ("web.1"), or with its last change ("change").
CREATE TABLE troubles (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    place  TEXT NOT NULL,
    at     INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (app_id, place)
) STRICT;
