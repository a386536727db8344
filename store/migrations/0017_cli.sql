-- Config vars of every app, below its own.
CREATE TABLE global_config (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- What they were when a release was made: a release is never edited.
ALTER TABLE releases ADD COLUMN globals TEXT NOT NULL DEFAULT '{}';

-- Logins to servers that apps' code is fetched from. user "" and password "": a host key, as known_hosts has it.
CREATE TABLE git_hosts (
    host     TEXT PRIMARY KEY,
    user     TEXT NOT NULL,
    password TEXT NOT NULL,
    keys     TEXT NOT NULL
) STRICT;
